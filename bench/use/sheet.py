"""A sheet of classified pictures: the examples of each class on top, then each query with its likeliest classes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps

COLUMNS, SHOWN = 6, 60
EXAMPLES = 5
"""Examples shown of a class."""


def draw(
    path: Path, support: dict[str, list[Path]], queries: list[Path], classes: list[str], p: np.ndarray
) -> None:
    """Write the sheet as PNG. support: examples by class; p: probabilities `[queries, classes]`.

    Of more than 60 queries, the first 60 are shown.
    """
    shown = queries[:SHOWN]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(1.6 * COLUMNS, 0.9 * len(classes) + 2.1 * rows + 0.9))
    examples, answers = figure.subfigures(2, height_ratios=[0.9 * len(classes) + 0.4, 2.1 * rows + 0.5])
    examples.suptitle("Support set", fontsize=9)
    grid = examples.subplots(len(classes), EXAMPLES, squeeze=False)
    for line, name in zip(grid, classes, strict=True):
        line[0].set_ylabel(_short(name), rotation=0, ha="right", va="center", fontsize=8)
        for axes, file in zip(line, support[name] + [None] * EXAMPLES, strict=False):
            _picture(axes, file)
    title = "Queries" if len(shown) == len(queries) else f"The first {SHOWN} of {len(queries)} queries"
    answers.suptitle(title, fontsize=9)
    cells = answers.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, file in zip(cells, shown + [None] * COLUMNS, strict=False):
        _picture(axes, file)
    for axes, file, row in zip(cells, shown, p, strict=False):
        best = np.argsort(-row, kind="stable")[:2]
        lines = [_short(file.name), *(f"{_short(classes[i])} {100 * row[i]:.0f} %" for i in best)]
        axes.set_title("\n".join(lines), fontsize=6)
    figure.savefig(path, dpi=150, metadata={"Software": None})


def _short(name: str, longest: int = 18) -> str:
    """The name without its middle where it is long, and without what matplotlib would read as a formula."""
    name = name if len(name) <= longest else f"{name[: longest // 2]}…{name[1 - longest // 2 :]}"
    return name.replace("$", r"\$")


def _picture(axes, file: Path | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if file is not None:
        with Image.open(file) as image:
            axes.imshow(ImageOps.exif_transpose(image).convert("RGB"))
