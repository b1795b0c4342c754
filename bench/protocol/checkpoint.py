"""The resume checkpoint of a meta-training: everything that decides the rest of the run, written atomically."""

import os
from pathlib import Path
from typing import Any

import torch

from bench.study.run import CHECKPOINT as NAME


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write to a temporary file, flush it to the disk, rename: a reader sees the old checkpoint or the new one."""
    temporary = folder / f".{NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / NAME)


def load(folder: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint of the same job, or None: a changed setting, data set or source file starts afresh."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch raises many kinds; whatever it is, the run can start again from nothing
        print(
            f"{path} cannot be read ({type(error).__name__}: {error}); starting from the first step",
            flush=True,
        )
        return None
    if state["fingerprint"] != fingerprint:
        print(f"{path} belongs to other settings, data or code; starting from the first step", flush=True)
        return None
    return state


def remove(folder: Path) -> None:
    (folder / NAME).unlink(missing_ok=True)
