"""Are the arrays of a prepared data set those that were written? By content once per machine, then by size and time."""

import contextlib
import hashlib
import json
import os
import platform
from pathlib import Path

from tasks.catalogue import REGRESSION, path_name, prepared_root
from tasks.preparation.archives import DataError
from tasks.preparation.valid import fault_of

ARRAYS = ("images.npy", "originals.npy")


def check_prepared(*names: str, content: bool = False) -> None:
    """Raise DataError, which names file and remedy, where a prepared data set is damaged. One that is not there is none.

    content: read the arrays even where this machine has done so and their sizes and times are the same since. Data that
    an older version prepared without digests are compared with what they were when this machine first read them.
    """
    for name in names:
        folder = prepared_root() / path_name(name).replace(":", "_")
        if name not in REGRESSION and (folder / "meta.json").exists():
            _check(name, folder, content)


def array_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each array of a prepared data set, for its meta.json."""
    return {name: _digest(folder / name) for name in ARRAYS if (folder / name).exists()}


def _check(name: str, folder: Path, content: bool) -> None:
    remedy = f"prepare it again with `python -m bench prepare {name} --force`"
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        recorded = dict(meta.get("files") or {})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{folder / 'meta.json'} is damaged ({error}): {remedy}") from error
    notes = folder.parent / f".{folder.name}.{platform.node()}.verified.json"
    seen, found = _read(notes), {}
    recorded = recorded or {file: entry[2] for file, entry in seen.items()} or array_digests(folder)
    for file, digest in recorded.items():
        path = folder / file
        if not path.exists():
            raise DataError(f"{path}, which {folder / 'meta.json'} records, is missing: {remedy}")
        state = path.stat()
        # Where the digest is no text, the comparison fails.
        found[file] = [state.st_size, state.st_mtime_ns, digest]
        if (content or seen.get(file) != found[file]) and _digest(path) != digest:
            raise DataError(
                f"{path} is not what was prepared: its content has another digest than {folder / 'meta.json'} records; "
                f"one of them is damaged: {remedy}"
            )
    if fault := fault_of(meta, folder):
        raise DataError(f"{fault}: {remedy}")
    if found != seen:
        _write(notes, found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(notes: Path) -> dict:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(notes.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _write(notes: Path, found: dict) -> None:
    """Remember what was compared; where nothing can be written, it is compared again next time."""
    part = notes.with_name(f"{notes.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(notes)
