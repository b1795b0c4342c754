"""One job at a time in a run's folder: a job that outlived its workflow and the job of a new one must not both train."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bench.results.room import check_room

NAME = ".lock"


@contextlib.contextmanager
def run_lock(folder: Path, run: str) -> Iterator[bool]:
    """Hold the lock of a run's folder; yield whether another process had to be waited for.

    The lock ends with its process, however that ends. A file system without locks gives none. RuntimeError where the disk
    is full.
    """
    check_room(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file, waited = _acquired(folder / NAME, run)
    try:
        yield waited
    finally:
        if file is not None:
            (folder / NAME).unlink(missing_ok=True)
            os.close(file)


def _acquired(path: Path, run: str) -> tuple[int | None, bool]:
    """The open and locked file. Another process may have removed it meanwhile; then the next one is tried."""
    waited = False
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{run}: another process works on it (it holds {path}); waiting for it to end", flush=True)
            waited = True
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # no locks on this file system
            os.close(file)
            return None, waited
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            return file, waited
        os.close(file)
