"""Drawings as files (SVG, PDF) and as SVG markup that lives inside a page and takes its font and text colour."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from bench.results import atomic_write
from bench.style import Look

INK = "#3b4148"  # every text, axis and grid line; becomes currentColor inside the page
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "pdf.fonttype": 42,
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.16,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    **{key: INK for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "grid.color")},
    **{key: INK for key in ("xtick.color", "ytick.color")},
}
_NO_DATE = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Panel:
    """One pair of axes; alt says in words what the drawing shows."""

    title: str
    alt: str
    draw: Callable[[Axes], None]
    width: float = 4.0
    height: float = 2.7


@dataclass(frozen=True)
class Figure:
    """Panels that share a legend; saved side by side in one file, laid out freely in the page."""

    name: str
    title: str
    panels: list[Panel]
    looks: dict[str, Look] = field(default_factory=dict)
    columns: int = 3

    def save(self, folder: Path) -> None:
        """Write `<name>.svg` and `<name>.pdf`; equal input gives equal bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(STYLE):
            canvas = self._together()
            for suffix in ("svg", "pdf"):
                atomic_write(
                    folder / f"{self.name}.{suffix}",
                    lambda part, kind=suffix: canvas.savefig(part, format=kind, metadata=_NO_DATE[kind]),
                )

    def _together(self) -> Canvas:
        columns = min(self.columns, len(self.panels))
        rows = -(-len(self.panels) // columns)
        legend = 0.35 if self.looks else 0
        width, height = self.panels[0].width * columns, max(p.height for p in self.panels) * rows + legend
        canvas = Canvas(figsize=(width, height), layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False).ravel()
        for panel, ax in zip(self.panels, axes, strict=False):
            panel.draw(ax)
            ax.set_title(panel.title)
        for ax in axes[len(self.panels) :]:
            ax.remove()
        handles = [Line2D([], [], color=k.colour, marker=k.marker, label=k.title) for k in self.looks.values()]
        if handles:
            canvas.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * columns), frameon=False)
        return canvas

    def markup(self, panel: Panel) -> str:
        """The panel as an `<svg>` element for a page; its title is left to the page."""
        with mpl.rc_context(STYLE):
            canvas = Canvas(figsize=(panel.width, panel.height), layout="constrained")
            panel.draw(canvas.subplots())
            out = io.StringIO()
            canvas.savefig(out, format="svg", metadata=_NO_DATE["svg"])
        return inline(out.getvalue(), f"{self.name}-{self.panels.index(panel)}")


def inline(svg: str, prefix: str) -> str:
    """Matplotlib's SVG made fit for a page: ids are unique, numbers short, ink and font are the page's own.

    Groups drawn with gid `series-<algorithm>` carry that name in `data-algorithm`, so that a legend can find them.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    svg = re.sub(r'<g id="series-([^"]+)"', r'<g class="series" data-algorithm="\1"', svg)
    svg = re.sub(r'<g id="[^"]+"', "<g", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"font: ((?:\w+ )*?[\d.]+px) [^;\"]+", lambda m: _font(m[1]), svg)
    svg = re.sub(r'\b(d|x|y|transform)="[^"]+"', lambda m: re.sub(r"-?\d+\.\d{3,}", _short, m[0]), svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _font(words: str) -> str:
    *weight, size = words.split()
    return f"font-size: {size}" + (f"; font-weight: {weight[0]}" if weight else "")


def _short(match: re.Match) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def marker_path(marker: str) -> str:
    """SVG path data of a Matplotlib marker in a box from -1 to 1, y downwards."""
    style = MarkerStyle(marker)
    polygons = style.get_path().transformed(style.get_transform()).to_polygons()
    return " ".join("M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)
