"""The checkpoint of a training: everything that decides the rest of it, written atomically."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from bench.paths import CHECKPOINT as NAME


def fingerprint(settings: Any, data: str, code: str) -> str:
    """Return the digest of settings (JSON values) and of the digests of data and code."""
    return hashlib.sha256(json.dumps([settings, data, code], sort_keys=True).encode()).hexdigest()


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write to a temporary file, flush it to the disk, rename: a reader sees the old checkpoint or the new one."""
    temporary = folder / f".{NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / NAME)


def load(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return the checkpoint of the same job, or None: other settings, data or code start from the first step."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # PyTorch does not compare checksums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} has another checksum than was written")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds; after any of them, the run can start from the first step
        reason = f"cannot be read ({type(error).__name__}: {error})"
    else:
        if state["fingerprint"] == fingerprint:
            return state
        reason = "belongs to other settings, data or code"
    print(f"{path} {reason}; starting from the first step", flush=True)
    return None
