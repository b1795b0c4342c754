"""The record of code, versions and hardware behind a result."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.paths import ROOT

CODE = (".", ":!results", ":!reports", ":!logs")
"""What a commit must hold as it is: all but outputs, of which `results/reference/` is committed, too."""


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(device: torch.device, started: str) -> dict[str, Any]:
    """Return code, versions and hardware behind a result. tf32: may float32 products be rounded to TF32?"""
    return {
        # GIT_COMMIT: where only the files were copied to
        "git_commit": _git("rev-parse", "HEAD") or os.environ.get("GIT_COMMIT"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", *CODE)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": device.type,
        "tf32": device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32,
        "threads": torch.get_num_threads(),
        "started": started,
        "finished": now(),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
