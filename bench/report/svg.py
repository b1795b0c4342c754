"""Drawings as files (SVG, PDF) and as SVG markup that lives inside a page and takes its font and text colour."""

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from bench.report.style import Look
from bench.results.files import atomic_write

INK = "#3b4148"  # every text, axis and grid line; becomes currentColor inside the page
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "pdf.fonttype": 42,
    "font.size": 9,
    "axes.titlesize": 9.5,
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
    **{
        key: INK
        for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "grid.color")
    },
    **{key: INK for key in ("xtick.color", "ytick.color")},
    **{key: False for key in ("xtick.bottom", "ytick.left")},  # the grid says where a label belongs
}
_NO_DATE = {"Date": None, "Creator": None}
_TITLE = 0.3  # inches above each panel of a file


@dataclass(frozen=True)
class Panel:
    """One pair of axes; sizes and the left margin in inches; alt says in words what the drawing shows."""

    title: str
    alt: str
    draw: Callable[[Axes], None]
    width: float = 4.0
    height: float = 2.7
    left: float = 0.6

    def place(self, canvas: Canvas, x: float, y: float) -> Axes:
        """Draw into a canvas, lower left corner at (x, y); fixed margins keep the axes of a grid aligned."""
        width, height = canvas.get_size_inches()
        right, bottom, top = 0.12, 0.48, 0.08
        box = (x + self.left, y + bottom, self.width - self.left - right, self.height - bottom - top)
        ax = canvas.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        self.draw(ax)
        return ax


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
        with mpl.rc_context(STYLE):
            canvas = self._together()
            svg, pdf = FigureCanvasSVG(canvas), FigureCanvasPdf(canvas)
            atomic_write(folder / f"{self.name}.svg", lambda part: svg.print_svg(part, metadata=_NO_DATE))
            atomic_write(
                folder / f"{self.name}.pdf", lambda part: pdf.print_pdf(part, metadata={"CreationDate": None})
            )

    def _together(self) -> Canvas:
        """All panels in rows of `columns`, the legend below."""
        columns = min(self.columns, len(self.panels))
        rows = [self.panels[i : i + columns] for i in range(0, len(self.panels), columns)]
        heights = [max(panel.height for panel in row) + _TITLE for row in rows]
        width = self.panels[0].width * columns
        beside = _legend_columns(self.looks, width)
        size = (width, sum(heights) + _legend_height(self.looks, beside))
        canvas = Canvas(figsize=size)
        for i, row in enumerate(rows):
            for j, panel in enumerate(row):
                top = size[1] - sum(heights[:i]) - _TITLE
                panel.place(canvas, j * panel.width, top - panel.height).set_title(panel.title)
        handles = [
            Line2D([], [], color=k.colour, ls=k.line, marker=k.marker, label=k.title)
            for k in self.looks.values()
        ]
        if handles:
            canvas.legend(handles=handles, loc="lower center", ncols=min(len(handles), beside), frameon=False)
        return canvas

    def markup(self, panel: Panel) -> str:
        """The panel as an `<svg>` element for a page; its title is left to the page."""
        with mpl.rc_context(STYLE):
            canvas = Canvas(figsize=(panel.width, panel.height))
            panel.place(canvas, 0, 0)
            out = io.StringIO()
            FigureCanvasSVG(canvas).print_svg(out, metadata=_NO_DATE)
        return inline(out.getvalue(), f"{self.name}-{self.panels.index(panel)}")


def _legend_columns(looks: dict[str, Look], width: float) -> int:
    """As many as fit, each as wide as the longest title."""
    longest = max((len(look.title) for look in looks.values()), default=0)
    return max(1, int(width / (0.55 + 0.06 * longest)))


def _legend_height(looks: dict[str, Look], columns: int) -> float:
    return 0.15 + 0.2 * -(-len(looks) // columns) if looks else 0.0


def inline(svg: str, prefix: str) -> str:
    """Matplotlib's SVG made fit for a page: ids are unique, numbers short, ink and font are the page's own.

    Groups drawn with gid `series-<algorithm>` carry that name in `data-algorithm`, so that a legend can find them.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    svg = re.sub(r'<g id="series-([^"]+)"', r'<g class="series" data-algorithm="\1"', svg)
    svg = re.sub(r'<g id="[^"]+"', "<g", svg)
    svg = _short_ids(svg, prefix)
    svg = re.sub(r" ?font-family: [^;\"]+;?| transform=\"rotate\(-0 [^\"]+\"", "", svg)
    svg = re.sub(r'\b(d|x|y|transform)="[^"]+"', lambda m: re.sub(r"-?\d+\.\d+", _short, m[0]), svg)
    svg = re.sub(r' d="[^"]+"', lambda m: ' d="' + re.sub(r"\s*([A-Za-z])\s*", r"\1", m[0][4:]), svg)
    svg = re.sub(r'<path [^>]*style="fill: none"/>', "", svg)  # backgrounds, which are not drawn
    return re.sub(r"\s*\n\s*", "\n", _without_bare_groups(svg))


def _without_bare_groups(svg: str) -> str:
    opened = []

    def kept(match: re.Match) -> str:
        if match[0] != "</g>":
            opened.append(match[0] if match[0] != "<g>" else "")
            return opened[-1]
        return match[0] if opened.pop() else ""

    return re.sub(r"<g(?: [^>]*)?>|</g>", kept, svg)


def _short_ids(svg: str, prefix: str) -> str:
    """Ids are the page's: the first digits of a digest of the drawing's name, and a number within the drawing."""
    names = list(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))
    first = hashlib.sha256(prefix.encode()).hexdigest()[:7]
    short = {name: f"v{first}-{i}" for i, name in enumerate(names)}
    return re.sub(r'( id="|href="#|url\(#)([^")]+)', lambda m: m[1] + short[m[2]], svg)


def _short(match: re.Match) -> str:
    value = float(match[0])
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def shared_styles(page: str) -> str:
    """Make a class of the page's style sheet of each style in its drawings: thousands of lines have a few dozen looks."""
    classes: dict[str, str] = {}

    def named(match: re.Match) -> str:
        return f'{match[1]}class="{classes.setdefault(match[2], f"v{len(classes)}")}"'

    page = re.sub(r'(<(?:path|use|text|g) (?![^>]*class=)[^>]*?)style="([^"]*)"', named, page)
    rules = "".join(f".{name}{{{style}}}\n" for style, name in classes.items())
    return page.replace("</style>", f"{rules}</style>", 1)


def marker_path(marker: str) -> str:
    """SVG path data of a Matplotlib marker in a box from -1 to 1, y downwards."""
    style = MarkerStyle(marker)
    polygons = style.get_path().transformed(style.get_transform()).to_polygons()
    return " ".join("M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in polygon) + "Z" for polygon in polygons)
