"""Colours, markers and lines of the algorithms, the same in every table and figure."""

from dataclasses import dataclass

import pandas as pd

# Blues, reds to ochres, greens, greys: hues that stay apart in the common forms of colour blindness (after Okabe and Ito),
# each with a contrast of 3:1 or more on the white and on the dark page. Markers tell algorithms apart without any colour.
COLOURS = {
    "metric-based": ("#0b76b8", "#8a63c9", "#2f8fa8", "#6a70d6", "#4b63c4"),
    "optimization-based": ("#cf4a12", "#b07a00", "#c8456b", "#a8622e", "#b5508f", "#d9601f"),
    "model-based": ("#008a64", "#5f8a1c", "#1f8f8a", "#7c8434", "#3f9a45"),
    "baseline": ("#7b7f86", "#8c7f6d", "#6c7a89"),
}
MARKERS = {
    "metric-based": "osDph8d",
    "optimization-based": "^v<>PXdDso8",
    "model-based": "*HdX8Pp",
    "baseline": "8psPd",
}
INK = "#3b4148"
"""Colour of every text, axis and grid line; inside the page it becomes currentColor."""
CONTROLS = ("scratch",)
"""Learners without meta-training. Their dashed curve shows what meta-training adds."""
CROWD = 9
"""The largest number of curves that can be told apart in one panel."""

LONGEST = 40
"""Letters of a title in a drawing; the tables have it in full."""


def drawn(title: str, longest: int = LONGEST) -> str:
    """Return a title as drawings have it: its middle left out where it is long, and `$` as a sign, not as mathematics."""
    if len(title) > longest:
        title = f"{title[: longest * 3 // 5]}…{title[-(longest * 2 // 5 - 1) :]}"
    return title.replace("$", r"\$")


@dataclass(frozen=True)
class Style:
    """Title, family, colour, marker and line of one algorithm."""

    title: str
    family: str
    colour: str
    marker: str
    line: str = "-"


def styles_of(rows: pd.DataFrame) -> dict[str, Style]:
    """Return a style per algorithm, family by family, from rows with the columns algorithm, title and family."""
    rows = rows[["algorithm", "title", "family"]].drop_duplicates("algorithm")
    result = {}
    for family in sorted(rows["family"].unique(), key=family_order):
        for i, row in enumerate(rows[rows["family"].eq(family)].itertuples()):
            colours, markers = (table.get(family, table["baseline"]) for table in (COLOURS, MARKERS))
            colour, marker = colours[i % len(colours)], markers[i % len(markers)]
            line = "--" if row.algorithm in CONTROLS else "-"
            result[row.algorithm] = Style(row.title, family, colour, marker, line)
    return result


def only_in(rows: pd.DataFrame, styles: dict[str, Style]) -> dict[str, Style]:
    """Return the styles of the algorithms of these rows."""
    present = set(rows["algorithm"])
    return {algorithm: style for algorithm, style in styles.items() if algorithm in present}


def coloured_groups(styles: dict[str, Style]) -> list[tuple[str, dict[str, Style]]]:
    """Return (ending of the panel's title, styles) of each panel: one for a few algorithms, else one per family.

    In the panel of a family all other algorithms are thin lines (`bench.report.axes.others_behind`).
    """
    if len(styles) <= CROWD:
        return [("", styles)]
    families = dict.fromkeys(style.family for style in styles.values())
    return [
        (f", {family}", {a: style for a, style in styles.items() if style.family == family})
        for family in families
    ]


def panel_columns(groups: list, few: int) -> int:
    """Return the number of panels side by side: one per group, or `few` where there is one group only."""
    return len(groups) if len(groups) > 1 else few


def family_order(family: str) -> tuple[int, str]:
    """Return the sort key of a family: the order of `COLOURS`, then the others by name."""
    return (list(COLOURS).index(family) if family in COLOURS else len(COLOURS), family)


def by_family(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows sorted by family, otherwise in their order."""
    return rows.iloc[rows["family"].map(family_order).argsort(kind="stable")]
