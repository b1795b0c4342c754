"""Picture sheets: what a shift does to an image at every severity, and what one episode looks like."""

import io
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes
from tasks.seeds import numpy_generator
from tasks.shift_table import SEVERITIES, SHIFTS, find, strength
from tasks.shifts import shifted

EXAMPLES = 2  # images per cell, the same ones in every cell
GAP = 3  # white pixels between the pictures of a cell
GREY = "#5b636d"
FRAME = 215  # grey level of the line around a picture
QUERIES = 3  # query images shown per class


def shift_sheet(split: ImageSplit, names: Iterable[str] | None = None, seed: int = 0) -> Figure:
    """Draw a row per shift (default: all that are defined for this kind of image) and a column per severity 0 to 5.

    Every cell shows the same images, chosen by `seed`, with the strength below.
    """
    kind = split.data.meta["imagery"]
    names = list(names) if names is not None else [name for name in SHIFTS if kind in SHIFTS[name].levels]
    shifts, ids = [find(name, kind) for name in names], _examples(split, seed)
    figure = Figure(figsize=(9.6, 0.3 + 0.86 * len(shifts)), facecolor="white")
    grid = figure.subplots(len(shifts), len(SEVERITIES), squeeze=False)
    edge = 0.24 / figure.get_figheight()
    figure.subplots_adjust(left=0.16, right=0.995, bottom=edge, top=1 - edge, wspace=0.06, hspace=0.24)
    for shift, row in zip(shifts, grid, strict=True):
        for severity, axes in zip(SEVERITIES, row, strict=True):
            value = strength(shift.name, severity, kind)
            _show(axes, shifted(split, ids, shift.name, value, seed), kind)
            axes.set_xlabel(
                _amount(value, shift.unit) if severity else "", fontsize=7.5, color=GREY, labelpad=2
            )
        label = row[0].set_ylabel(shift.title, rotation=0, ha="right", va="center", fontsize=9.5, labelpad=8)
        label.set_fontweight("bold")
    for severity, axes in zip(SEVERITIES, grid[0], strict=True):
        axes.set_title(f"severity {severity}" if severity else "original", fontsize=9, color=GREY, pad=5)
    return figure


def episode_sheet(split: ImageSplit, episodes: FrozenEpisodes, episode: int = 0) -> Figure:
    """Draw one episode as a learner sees it: a column per class, its support images above some of its query images."""
    support, queries = (
        [ids[episode][labels[episode] == label] for label in range(episodes.way)]
        for ids, labels in ((episodes.support, episodes.support_y), (episodes.query, episodes.query_y))
    )
    rows = [("support" if i == 0 else "", [ids[i] for ids in support]) for i in range(episodes.shot)]
    shown = min(QUERIES, *(len(ids) for ids in queries))
    rows += [("query" if i == 0 else "", [ids[i] for ids in queries]) for i in range(shown)]
    heights = [1.0] * episodes.shot + [0.18] + [1.0] * shown
    figure = Figure(figsize=(0.95 + 0.92 * episodes.way, 0.55 + 0.92 * sum(heights)), facecolor="white")
    grid = figure.subplots(len(heights), episodes.way, squeeze=False, height_ratios=heights)
    left, top = 0.9 / figure.get_figwidth(), 1 - 0.45 / figure.get_figheight()
    figure.subplots_adjust(left=left, right=0.995, bottom=0.01, top=top, wspace=0.08, hspace=0.08)
    for axes in grid[episodes.shot]:
        axes.remove()
    cells = np.delete(grid, episodes.shot, axis=0)
    for (title, ids), row in zip(rows, cells, strict=True):
        for flat, axes in zip(ids, row, strict=True):
            _show(axes, split.images.flatten(0, 1)[int(flat)].unsqueeze(0), split.data.meta["imagery"])
        row[0].set_ylabel(
            title, rotation=0, ha="right", va="center", fontsize=9.5, labelpad=8, fontweight="bold"
        )
    for label, axes in enumerate(cells[0]):
        caption = _caption(split, int(support[label][0]) // split.images.shape[1])
        axes.set_title(caption, fontsize=6.5, color=GREY, pad=3)
    return figure


def render(figure: Figure, suffix: str = "png", dpi: int = 120) -> bytes:
    """Return the bytes of a file (`png`, `svg` or `pdf`); equal figures give equal bytes."""
    dates = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "sheets"}):
        figure.savefig(buffer, format=suffix, dpi=dpi, metadata=dates[suffix])
    return buffer.getvalue()


def _examples(split: ImageSplit, seed: int) -> Tensor:
    """Return flat ids of one upright image from each of `EXAMPLES` classes."""
    generator = numpy_generator("sheet", seed)
    classes = generator.permutation(len(split.base_classes))[:EXAMPLES]
    per_class = split.images.shape[1]
    return torch.from_numpy(classes * per_class + generator.integers(split.smallest, size=len(classes)))


def _show(axes: Axes, images: Tensor, kind: str) -> None:
    """Show uint8 images `[n, C, H, W]` side by side, drawings as dark ink on paper."""
    pixels = images.cpu().numpy().transpose(0, 2, 3, 1)
    pixels = 255 - pixels if kind == "glyphs" else pixels
    pixels = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=FRAME)
    spaced = np.pad(pixels, ((0, 0), (0, 0), (0, GAP * pixels.shape[2] // 30), (0, 0)), constant_values=255)
    strip = np.concatenate(list(spaced), axis=1)[
        :, : spaced.shape[2] * len(pixels) - (spaced.shape[2] - pixels.shape[2])
    ]
    axes.imshow(np.broadcast_to(strip, (*strip.shape[:2], 3)), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _amount(value: float, unit: str) -> str:
    number = f"{value:.2f}".rstrip("0").rstrip(".")
    forms = {"x": f"× {number}", "sigma": f"σ = {number}", "share": f"{100 * value:.0f} %"}
    return forms.get(unit, f"{number} {unit}")


def _caption(split: ImageSplit, position: int) -> str:
    """Return the name of a class on two lines: `Tibetan`, `character03 90°`."""
    group = split.groups[position]
    name, _, turn = split.class_names[position].removeprefix(f"{group}/").partition("/rot")
    angle = f" {int(turn)}°" if int(turn or 0) else ""
    return "\n".join(line.replace("_", " ")[:17] for line in (group, f"{name}{angle}") if line)
