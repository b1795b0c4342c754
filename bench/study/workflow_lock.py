"""Locks that a killed Snakemake left behind, removed where no Snakemake of that study is alive.

Snakemake's own locks are lists of files and do not say whose they are. Each workflow of this project therefore holds a
shared lock of the operating system on a file of its study, which ends with its process, however that ends.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path

FOLDER = Path(".snakemake")
_held: dict[str, int] = {}


def hold_study(study: str, results: Path) -> None:
    """Say for the life of this process that it works on a study; first remove the locks of workflows that are dead.

    results: folder of all studies' results; its files in a lock tell whose lock it is. On a file system without locks,
    nothing is removed, and Snakemake asks for `--unlock` after a crash.
    """
    if study in _held:
        return
    with contextlib.suppress(OSError):  # a folder that cannot be written: Snakemake says so itself
        _remove_dead_locks(re.compile(re.escape(f"{results}/") + r"([a-z0-9_]+)/"))
        _held[study] = _opened(study)
        fcntl.flock(_held[study], fcntl.LOCK_SH)


def _remove_dead_locks(owner: re.Pattern[str]) -> None:
    for file in FOLDER.glob("locks/*.lock"):
        owners = set(owner.findall(file.read_text(encoding="utf-8", errors="replace")))
        if owners and not any(map(_alive, owners)):
            file.unlink(missing_ok=True)


def _alive(study: str) -> bool:
    """Whether a process works on a study: then nobody else can have its file for himself."""
    file = _opened(study)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _opened(study: str) -> int:
    FOLDER.mkdir(exist_ok=True)
    return os.open(FOLDER / f"{study}.alive", os.O_RDWR | os.O_CREAT, 0o666)
