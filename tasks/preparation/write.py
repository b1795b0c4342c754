"""The prepared form of an image data set, written; tasks/dataset.py reads it."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from tasks.catalogue import prepared_root
from tasks.preparation.verified import array_digests


def write_prepared(
    name: str, images: np.ndarray, meta: dict, originals: np.ndarray | None = None, root: Path | None = None
) -> Path:
    """Write a prepared data set; the folder appears whole or not at all. Returns the folder."""
    root = root or prepared_root()
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    try:
        np.save(temporary / "images.npy", images)
        if originals is not None:
            np.save(temporary / "originals.npy", originals)
        meta = meta | {"files": array_digests(temporary)}
        text = json.dumps(meta, indent=1, ensure_ascii=False) + "\n"
        (temporary / "meta.json").write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
        shutil.rmtree(root / name, ignore_errors=True)
        temporary.rename(root / name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return root / name
