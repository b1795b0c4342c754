"""Pictures that `bench pictures` has drawn, embedded in the page and copied beside it."""

import shutil
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """A picture in the study's results, or a note that says why there is none."""

    title: str
    note: str = ""
    name: str = ""
    alt: str = ""
    folder: Path = Path()

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return data_uri((self.folder / f"{self.name}.png").read_bytes())

    def save(self, folder: Path) -> None:
        """Copy `<name>.svg` and `<name>.pdf`, where there is a picture."""
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("svg", "pdf") if self.name else ():
            shutil.copyfile(self.folder / f"{self.name}.{suffix}", folder / f"{self.name}.{suffix}")


def data_uri(png: bytes) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + b64encode(png).decode()
