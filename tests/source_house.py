"""A folder of downloads without internet, and archives to put there."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest


def empty_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, not there yet; no mirror, no URLs."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    for module in ("miniimagenet_forms", "omniglot.download"):
        monkeypatch.setattr(f"tasks.preparation.{module}.load_sources", offline)
    return tmp_path / "data/downloads"


def offline() -> dict:
    """No URLs."""
    facts = {"files": {"all_runs.zip": {"urls": [], "images": 2, "digest": "none"}}}
    return {
        "miniimagenet": facts | {"known_digests": {}, "homepage": "", "licence": "", "citation": ""},
        "omniglot": facts,
    }


def pack(folder: Path, archive: Path, form: str, top: str = "") -> None:
    """Move the content of a folder into an archive, below the folder `top`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    files = {f"{top}{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*.*"))}
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for name, data in files.items():
                packed.writestr(name, data)
    else:
        with tarfile.open(archive, f"w:{form}") as packed:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    shutil.rmtree(folder)
