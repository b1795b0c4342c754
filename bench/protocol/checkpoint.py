"""The checkpoint of a training: everything that decides the rest of it, written atomically."""

import hashlib
import json
import os
import zipfile
import zlib
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
    """Return the checkpoint of the same job, or None: other settings, data or code start from the first step.

    That of another job is set aside, and found again when its settings, data and code return: an edit loses no training.
    """
    path, own = folder / NAME, _aside(folder, fingerprint)
    state, fault = _read(path)
    if state and state["fingerprint"] != fingerprint:
        other = path.replace(_aside(folder, state["fingerprint"]))
        state, fault = None, f"belongs to other settings, data or code, and waits for them as {other.name}"
    if state is None and own.exists():
        state, fault = _read(own.replace(path))
    if fault:
        print(f"{path} {fault}; starting from the first step", flush=True)
    return state


def remove(folder: Path) -> None:
    """Remove the checkpoints of a training that has ended, those set aside too."""
    for path in folder.glob(f"{Path(NAME).stem}*.pt"):
        path.unlink()


def _aside(folder: Path, fingerprint: str) -> Path:
    """Where the checkpoint of a job waits. The name is a checksum, as a damaged file could hold any text."""
    return folder / f"{Path(NAME).stem}-{zlib.crc32(fingerprint.encode()):08x}.pt"


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return a checkpoint, or None and why it cannot be read, which is empty where there is none."""
    if not path.exists():
        return None, ""
    try:
        with zipfile.ZipFile(path) as archive:  # PyTorch does not compare checksums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} has another checksum than was written")
        return torch.load(path, map_location="cpu", weights_only=True), ""
    except Exception as error:  # of many kinds; after any of them, the run can start from the first step
        return None, f"cannot be read ({type(error).__name__}: {error})"
