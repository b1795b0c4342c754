"""Folders that may hold a data set: the download cache and DATA_MIRROR, under any usual spelling of its name."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tasks.catalogue import data_root
from tasks.preparation.archives import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LITTER = {"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}
LISTED = 12  # entries of a folder in an error message


def mirror() -> str | Path | None:
    """DATA_MIRROR: a URL (str), a folder (`file://` and `~` understood), or None.

    DataError: the folder does not exist, or the address is of another kind.
    """
    value = os.environ.get("DATA_MIRROR", "").strip()
    if re.match("https?://", value, re.IGNORECASE):
        return value.rstrip("/")
    local = re.match("file:(//(localhost)?(?=[/~]))?", value, re.IGNORECASE)
    if "://" in value and not local:
        raise DataError(f"DATA_MIRROR={value}: expected a folder or an address of http, https or file")
    path = Path(unquote(value[local.end() :]) if local else value).expanduser()
    if value and not path.is_dir():
        fault = "is not a folder" if path.exists() else "does not exist"
        raise DataError(
            f"DATA_MIRROR={value} {fault}: name a folder or URL that holds <data set>/<file>, or unset DATA_MIRROR"
        )
    return path if value else None


def is_litter(name: str) -> bool:
    """Whether a path (with `/`) is left by an operating system or an editor: hidden, or in LITTER."""
    return any(part.startswith(".") or part.casefold() in LITTER for part in name.split("/"))


def is_archive(path: Path) -> bool:
    return path.name.casefold().endswith(ARCHIVES)


def homes(dataset: str) -> list[Path]:
    """Folders and archives of a data set: entries named like it in the download cache and the mirror, or the mirror itself.

    `mini-ImageNet` and `miniImagenet.tar.gz` are names of miniimagenet, too.
    """
    shelf = mirror()
    parents = [data_root() / "downloads", *([shelf] if isinstance(shelf, Path) else [])]
    named = [
        entry
        for parent in parents
        if parent.is_dir()
        for entry in sorted(parent.iterdir())
        if _plain(entry.name).startswith(dataset) and (entry.is_dir() or is_archive(entry))
    ]
    named.sort(key=lambda entry: (entry.name != dataset, parents.index(entry.parent)))
    itself = isinstance(shelf, Path) and _plain(shelf.resolve().name).startswith(dataset)
    return [*named, shelf] if itself else named


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def walk(folder: Path) -> Iterator[str]:
    """Files below a folder without litter, as sorted paths with `/`; links are followed, each folder once."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if not is_litter(name) and real not in seen)
        if real not in seen:
            below = os.path.relpath(place, folder).replace(os.sep, "/") + "/"
            yield from ((below + name).removeprefix("./") for name in sorted(files) if not is_litter(name))
        seen.add(real)


def holdings(dataset: str) -> str:
    """What the data set's folders hold now, a line each, for error messages."""
    lines = []
    for home in homes(dataset):
        names = list(walk(home)) if home.is_dir() else []
        inside = Counter(
            f"{name.split('/')[0]}/ of {Path(name).suffix or 'other'}" if "/" in name else name
            for name in names
        )
        shown = [entry if n == 1 else f"{entry} ({n})" for entry, n in list(inside.items())[:LISTED]]
        more = [f"and {len(inside) - LISTED} more"] if len(inside) > LISTED else []
        lines.append(
            f"\n  found {home}" + (f": {', '.join(shown + more) or 'empty'}" if home.is_dir() else "")
        )
    return "".join(lines) or f"\n  found: no folder {data_root() / 'downloads' / dataset}"
