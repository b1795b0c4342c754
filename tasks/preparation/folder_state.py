"""What lies at the path of your own pictures, told without reading them, so that a change repeats the preparation."""

import hashlib
import json
import os
from pathlib import Path

from tasks.catalogue import folder_name, pictures_path, prepared_root
from tasks.preparation.lists import SUFFIXES
from tasks.preparation.places import walk


def state_of(path: Path) -> str:
    """Digest of names and sizes of all files without litter, and of the content of lists."""
    root, names = (path, walk(path)) if path.is_dir() else (path.parent, [path.name])
    if path.suffix.casefold() in SUFFIXES:
        names = walk(path.parent)
    code = hashlib.sha256()
    for name in names:
        here = (root / name).exists()  # a link may lead nowhere: whoever needs the file says so
        size = os.path.getsize(root / name) if here else "missing"
        code.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if here and Path(name).suffix.casefold() in SUFFIXES:
            code.update((root / name).read_bytes())
    return code.hexdigest()[:16]


def pictures_state(name: str) -> str:
    """`state_of` the pictures of `folder:<path>`; of those that were prepared, where the pictures are not on this machine."""
    path = pictures_path(name)
    if path.exists():
        return state_of(path)
    meta = prepared_root() / folder_name(name) / "meta.json"
    return json.loads(meta.read_text(encoding="utf-8")).get("pictures", "") if meta.exists() else ""
