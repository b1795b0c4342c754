"""A setting: what a learner is trained for, a data set with the way and shot of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tasks.catalogue import FOLDER, OPTIONS, path_name, pictures_path

if TYPE_CHECKING:
    import pandas as pd

SETTING_COLUMNS = ["dataset", "way", "shot"]
_DATASETS = {"miniimagenet": "miniImageNet"}


class Setting(NamedTuple):
    """Data set, way and shot of the tasks that a learner is trained for."""

    dataset: str
    way: int
    shot: int

    @property
    def slug(self) -> str:
        """Name for files and anchors: `glyphs-5way-1shot`."""
        return f"{path_name(self.dataset)}-{self.way}way-{self.shot}shot".replace(":", "-")

    @property
    def label(self) -> str:
        """Name for readers: `Glyphs 5-way 1-shot`."""
        return f"{dataset_label(self.dataset)} {task_label(self.way, self.shot)}"


def settings(frame: pd.DataFrame) -> list[Setting]:
    """Return the settings of a table with the columns dataset, way and shot, in order of first appearance."""
    rows = frame[SETTING_COLUMNS].drop_duplicates()
    return [Setting(d, int(w), int(s)) for d, w, s in rows.itertuples(index=False)]


def at(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Return the rows of one setting."""
    return frame[
        frame["dataset"].eq(setting.dataset) & frame["way"].eq(setting.way) & frame["shot"].eq(setting.shot)
    ]


def dataset_label(name: str) -> str:
    """Return the data set's name for readers: `omniglot` -> `Omniglot`, `folder:/data/birds.zip` -> `Birds`."""
    if name.startswith(FOLDER):
        options = [
            f", {word.replace('_', ' ').replace('=', ' ')}" for word in OPTIONS.search(name)[0].split()
        ]
        name = (pictures_path(name).name.split(".")[0] or name) + "".join(options)
    return _DATASETS.get(name, name[:1].upper() + name[1:])


def task_label(way: int, shot: int) -> str:
    """Return `5-way 1-shot`; a regression task has no ways."""
    return f"{int(way)}-way {int(shot)}-shot" if way > 1 else f"{int(shot)}-shot"
