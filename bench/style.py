"""How names, numbers and algorithms look, in tables and figures alike."""

import colorsys
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

FAMILIES = ("metric-based", "optimization-based", "model-based", "baseline")
# Hues that stay apart in the common forms of colour blindness (after Okabe and Ito), at a lightness that keeps a contrast
# of 3:1 or more on white and on the dark page; the marker tells the members of a family apart without any colour.
_HUES = {"metric-based": 205, "optimization-based": 22, "model-based": 162, "baseline": None}
_LIGHTNESS = (0.44, 0.60, 0.34, 0.52)
_HUE_STEPS = (0, 12, -10, 22, -18)
_MARKERS = "osD^vPX<>phd"
_DATASETS = {"miniimagenet": "miniImageNet"}


class Setting(NamedTuple):
    """What is learned: a data set with the way and shot of its tasks."""

    dataset: str
    way: int
    shot: int

    @property
    def slug(self) -> str:
        return f"{self.dataset}-{self.way}way-{self.shot}shot".replace(":", "-")

    @property
    def label(self) -> str:
        name = _DATASETS.get(self.dataset, self.dataset[:1].upper() + self.dataset[1:])
        return f"{name} {task_label(self.way, self.shot)}"


def task_label(way: int, shot: int) -> str:
    """`5-way 1-shot`; a regression task has no ways."""
    return f"{int(way)}-way {int(shot)}-shot" if way > 1 else f"{int(shot)}-shot"


def settings(frame: pd.DataFrame) -> list[Setting]:
    """The settings of a table with columns dataset, way, shot, in order of first appearance."""
    rows = frame[["dataset", "way", "shot"]].drop_duplicates()
    return [Setting(d, int(w), int(s)) for d, w, s in rows.itertuples(index=False)]


def at(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    return frame[frame["dataset"].eq(setting.dataset) & frame["way"].eq(setting.way) & frame["shot"].eq(setting.shot)]


@dataclass(frozen=True)
class Look:
    """Colour and marker of one algorithm."""

    title: str
    family: str
    colour: str
    marker: str


def looks(rows: pd.DataFrame) -> dict[str, Look]:
    """One look per algorithm, in the order of the families: rows with columns algorithm, title, family."""
    rows = rows[["algorithm", "title", "family"]].drop_duplicates("algorithm")
    result = {}
    for family in sorted(rows["family"].unique(), key=family_order):
        for i, row in enumerate(rows[rows["family"].eq(family)].itertuples()):
            result[row.algorithm] = Look(row.title, family, _colour(family, i), _MARKERS[i % len(_MARKERS)])
    return result


def family_order(family: str) -> tuple[int, str]:
    return (FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), family)


def _colour(family: str, index: int) -> str:
    hue, lightness = _HUES.get(family, 290), _LIGHTNESS[index % len(_LIGHTNESS)]
    turn = _HUE_STEPS[index % len(_HUE_STEPS)]
    rgb = colorsys.hls_to_rgb(((hue or 0) + turn) % 360 / 360, lightness, 0 if hue is None else 0.85)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)


def number(value: float, metric: str = "accuracy", sign: bool = False) -> str:
    """A measure as printed: accuracy in percent with one decimal, an error with two significant decimals."""
    if value is None or not math.isfinite(value):
        return "–"
    if metric == "accuracy":
        text = f"{100 * value:.1f}"
    else:
        text = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
    text = text.lstrip("-") if float(text) == 0 else text
    return ("+" if sign and float(text) > 0 else "") + text.replace("-", "−")


def p_value(p: float) -> str:
    """`< 0.001` or three decimals."""
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them: `42 s`, `3.5 min`, `2.1 h`."""
    if not math.isfinite(seconds):
        return "–"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last
