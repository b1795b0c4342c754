"""How names, numbers and algorithms look, in tables and figures alike."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from bench.results.setting import (  # noqa: F401  until all files import these from there
    Setting,
    at,
    dataset_label,
    settings,
    task_label,
)

# Blues, reds to ochres, greens, greys: hues that stay apart in the common forms of colour blindness (after Okabe and Ito),
# each with a contrast of 3:1 or more on the white and on the dark page. Markers tell algorithms apart without any colour.
COLOURS = {
    "metric-based": ("#0b76b8", "#8a63c9", "#2f8fa8", "#6a70d6", "#4b63c4"),
    "optimization-based": ("#cf4a12", "#b07a00", "#c8456b", "#a8622e", "#b5508f", "#d9601f"),
    "model-based": ("#008a64", "#5f8a1c", "#1f8f8a", "#7c8434", "#3f9a45"),
    "baseline": ("#7b7f86", "#8c7f6d", "#6c7a89"),
}
CONTROLS = ("scratch",)
"""Learners without meta-training whose curve shows what meta-training adds: dashed."""
MARKERS = {
    "metric-based": "osDph8d",
    "optimization-based": "^v<>PXdDso8",
    "model-based": "*HdX8Pp",
    "baseline": "8psPd",
}
CROWD = 9
"""More curves than these in one panel cannot be told apart."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one algorithm."""

    title: str
    family: str
    colour: str
    marker: str
    line: str = "-"


def looks(rows: pd.DataFrame) -> dict[str, Look]:
    """One look per algorithm, in the order of the families: rows with columns algorithm, title, family."""
    rows = rows[["algorithm", "title", "family"]].drop_duplicates("algorithm")
    result = {}
    for family in sorted(rows["family"].unique(), key=family_order):
        for i, row in enumerate(rows[rows["family"].eq(family)].itertuples()):
            colours, markers = (table.get(family, table["baseline"]) for table in (COLOURS, MARKERS))
            colour, marker = colours[i % len(colours)], markers[i % len(markers)]
            line = "--" if row.algorithm in CONTROLS else "-"
            result[row.algorithm] = Look(row.title, family, colour, marker, line)
    return result


def drawn(looks: dict[str, Look], rows: pd.DataFrame) -> dict[str, Look]:
    """The looks of the algorithms of these rows."""
    return {algorithm: look for algorithm, look in looks.items() if algorithm in set(rows["algorithm"])}


def casts(looks: dict[str, Look]) -> list[tuple[str, dict[str, Look]]]:
    """Who is in colour in which panel, (ending of its title, looks): all in one, or a crowd family by family."""
    if len(looks) <= CROWD:
        return [("", looks)]
    families = dict.fromkeys(look.family for look in looks.values())
    return [
        (f", {family}", {a: look for a, look in looks.items() if look.family == family})
        for family in families
    ]


def abreast(groups: list, few: int) -> int:
    """Panels side by side: one of each of the `casts`, or `few` where all are in one."""
    return len(groups) if len(groups) > 1 else few


def family_order(family: str) -> tuple[int, str]:
    return (list(COLOURS).index(family) if family in COLOURS else len(COLOURS), family)


def number(value: float, metric: str = "accuracy", sign: bool = False) -> str:
    """A measure as printed: accuracy in percent with one decimal, an error with three decimals."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.3f}"
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
