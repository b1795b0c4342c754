"""Figures: panels that share a legend, as files (SVG, PDF) and as markup for the page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from bench.report.fonts import pdf_settings
from bench.report.style import INK, Style, drawn
from bench.report.svg import SharedParts, drawing, inline, shortened
from bench.results.files import atomic_write, write_text

RC = {
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
"""Matplotlib's settings for every figure."""
_BOTTOM, _TOP = 0.48, 0.08  # inches below and above the axes of a panel
_TITLE = 0.3  # inches above each panel of a file


@dataclass(frozen=True)
class Panel:
    """One pair of axes; sizes and the margins at the sides in inches; alt says in words what the drawing shows.

    gather: panels of a figure with the same name differ in their curves only; the page shows chosen curves of all of them
    in the first.
    """

    title: str
    alt: str
    draw: Callable[[Axes], None]
    width: float = 4.0
    height: float = 2.7
    left: float = 0.6
    right: float = 0.12
    gather: str = ""

    @property
    def axes_height(self) -> float:
        """Height of the axes in points."""
        return 72 * (self.height - _BOTTOM - _TOP)

    def place(self, canvas: Canvas, x: float, y: float) -> Axes:
        """Draw into a canvas, lower left corner at (x, y); fixed margins keep the axes of a grid aligned."""
        width, height = canvas.get_size_inches()
        box = (x + self.left, y + _BOTTOM, self.width - self.left - self.right, self.height - _BOTTOM - _TOP)
        ax = canvas.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        self.draw(ax)
        return ax


@dataclass(frozen=True)
class Figure:
    """Panels that share a legend; saved side by side in one file, laid out freely in the page.

    styles: the legend. caption: with names of `Summary.counts` in braces. heading: above the figure. fold: folded
    under its title, the first of a section open. wide: large panels. in_page: False for a figure that is only a file
    beside the page.
    """

    name: str
    title: str
    panels: list[Panel]
    styles: dict[str, Style] = field(default_factory=dict)
    columns: int = 3
    caption: str = ""
    heading: str = ""
    fold: bool = False
    wide: bool = False
    in_page: bool = True

    def save(self, folder: Path) -> None:
        """Write `<name>.svg` and `<name>.pdf`; equal input gives equal bytes."""
        with mpl.rc_context(RC):
            canvas = self.together()
            write_text(folder / f"{self.name}.svg", shortened(drawing(canvas)))
            pdf = FigureCanvasPdf(canvas)
            with mpl.rc_context(pdf_settings(canvas)):
                atomic_write(
                    folder / f"{self.name}.pdf",
                    lambda part: pdf.print_pdf(part, metadata={"CreationDate": None}),
                )

    def together(self) -> Canvas:
        """Return all panels in rows of `columns`, the legend below."""
        columns = min(self.columns, len(self.panels))
        rows = [self.panels[i : i + columns] for i in range(0, len(self.panels), columns)]
        heights = [max(panel.height for panel in row) + _TITLE for row in rows]
        width = self.panels[0].width * columns
        beside = _legend_columns(self.styles, width)
        size = (width, sum(heights) + _legend_height(self.styles, beside))
        canvas = Canvas(figsize=size)
        for i, row in enumerate(rows):
            for j, panel in enumerate(row):
                top = size[1] - sum(heights[:i]) - _TITLE
                panel.place(canvas, j * panel.width, top - panel.height).set_title(drawn(panel.title, 80))
        handles = [
            Line2D([], [], color=k.colour, ls=k.line, marker=k.marker, label=drawn(k.title))
            for k in self.styles.values()
        ]
        if handles:
            canvas.legend(handles=handles, loc="lower center", ncols=min(len(handles), beside), frameon=False)
        return canvas

    def markup(self, panel: Panel, shared: SharedParts) -> str:
        """Return the panel as an `<svg>` element for a page with these shared parts; its title is left to the page."""
        with mpl.rc_context(RC):
            canvas = Canvas(figsize=(panel.width, panel.height))
            panel.place(canvas, 0, 0)
            svg = drawing(canvas)
        return inline(svg, shared)


def _legend_columns(styles: dict[str, Style], width: float) -> int:
    """Return as many columns as fit, each as wide as the longest title."""
    longest = max((len(drawn(style.title)) for style in styles.values()), default=0)
    return max(1, int(width / (0.55 + 0.06 * longest)))


def _legend_height(styles: dict[str, Style], columns: int) -> float:
    return 0.15 + 0.2 * -(-len(styles) // columns) if styles else 0.0
