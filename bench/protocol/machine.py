"""Device, threads and memory allocator of a job, and the record of where it ran."""

import ctypes
import os
import platform
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.paths import ROOT


def set_up(device: str, threads: int, tf32: bool = False) -> torch.device:
    """Choose the device (`auto`: a GPU if there is one) and prepare this process for it.

    tf32: on a GPU, may float32 products be rounded to TF32 (10 bits of fraction)? For trainings; tests are float32.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            "train.device is 'cuda', but torch sees no GPU: use 'auto' or 'cpu', or check the driver"
        )
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    allow_tf32(tf32)
    if chosen.type == "cpu" and sys.platform == "linux":
        _keep_memory()
    return chosen


def allow_tf32(allowed: bool) -> None:
    """May products and convolutions of float32 use TF32 from here on? Only GPUs have it; PyTorch's own default varies."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def _keep_memory() -> None:
    """Keep freed memory in the process: glibc would map and fault in every large tensor anew (benchmarks/)."""
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # another C library: nothing to tune
        return
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 1 << 30)
    libc.mallopt(top_pad, 64 << 20)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far in MB: the GPU's where one is used, else the resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return _resident_peak() / 1e6


def _resident_peak() -> int:
    """Bytes. getrusage starts from the peak of whoever started this process (Linux), so it is asked second."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if found:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(device: torch.device, started: str) -> dict[str, Any]:
    """Code, versions and hardware behind a result."""
    return {
        # GIT_COMMIT: where only the files were copied to
        "git_commit": _git("rev-parse", "HEAD") or os.environ.get("GIT_COMMIT"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
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
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
