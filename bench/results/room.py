"""Room on the disk, checked before work and not after hours of it."""

import shutil
from pathlib import Path

NEEDED_MB = 50
"""Megabytes that must be free before a job starts: a checkpoint and the model are written beside their predecessors."""


def check_room(folder: Path, needed_mb: int = NEEDED_MB) -> None:
    """Raise RuntimeError, which names the folder and the remedy, where its disk has little room left."""
    existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e6
    if free < needed_mb:
        raise RuntimeError(
            f"the disk of {folder} has {free:.0f} MB left, and a job needs {needed_mb} MB: free some room, or set RESULTS_ROOT "
            "to a folder on another disk; then give the same command again"
        )
