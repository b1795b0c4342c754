"""A table of the report, and its text in Markdown and LaTeX."""

from dataclasses import dataclass, field, replace

from bench.report.numbers import SIGNIFICANT
from bench.results.setting import Setting

_TEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "≈": r"$\approx$",
    "†": r"\dag{}",
    "<": "$<$",
}
_TEX |= {char: "\\" + char for char in "&%$#_{}"}


@dataclass(frozen=True)
class Column:
    """Heading of a column; columns of the same group stand under one common heading.

    A minor column is left out on a narrow screen.
    """

    label: str
    group: str = ""
    numeric: bool = True
    minor: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell. text: as printed. value: to sort by (None: last). mark: `best`, `tied`, a verdict or "", and
    `better` or `worse` for a significant difference.

    link: target of the text. note: shown on hover.
    """

    text: str
    value: float | str | None = None
    mark: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row. family and reported are what the page filters by; a floor row stays at the bottom.

    reported: in the mode that stands for the learner, which is that of its paper where it was tested.
    """

    cells: list[Cell]
    family: str = ""
    reported: bool = True
    floor: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page, and a file in each of three formats.

    caption: with names of `Summary.counts` in braces. heading: above the table. fold: folded under its heading.
    filters: what the groups of columns are
    (`Setting`), of a table that the page offers to filter; "" for no filters. matrix: narrow, and not sortable by its headings.
    """

    name: str
    title: str
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)
    caption: str = ""
    heading: str = ""
    fold: bool = False
    filters: str = ""
    matrix: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Group headings with their widths; a column without a group has no heading and width 1. Empty without any group."""
        spans: list[list] = []
        for column in self.columns:
            if spans and column.group and spans[-1][0] == column.group:
                spans[-1][1] += 1
            else:
                spans.append([column.group, 1])
        return [tuple(span) for span in spans] if any(name for name, _ in spans) else []

    @property
    def page_columns(self) -> list[Column]:
        """Columns as the page has them: the setting is minor where all rows have the same."""
        alike = [len({row.cells[i].text for row in self.rows}) == 1 for i in range(len(self.columns))]
        return [
            replace(column, minor=column.minor or (same and column.label == "Setting"))
            for column, same in zip(self.columns, alike, strict=True)
        ]

    def headings(self) -> list[str]:
        """Return the headings in one line: `group: label`."""
        return [f"{c.group}: {c.label}" if c.group else c.label for c in self.columns]

    def to_markdown(self) -> str:
        """Return a GitHub table; the best value is bold, values not significantly below it carry the sign ≈."""
        lines = [self.headings(), ["---:" if c.numeric else ":---" for c in self.columns]]
        lines += [[_markdown(cell) for cell in row.cells] for row in self.rows]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)

    def to_latex(self) -> str:
        """Return a booktabs tabular (needs `\\usepackage{booktabs}`)."""
        head = " & ".join(_tex(c.label) for c in self.columns)
        lines = [
            r"\begin{tabular}{" + "".join("r" if c.numeric else "l" for c in self.columns) + "}",
            r"\toprule",
        ]
        if self.groups:
            lines.append(
                " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{_tex(name)}}}" for name, n in self.groups) + r" \\"
            )
        lines += [head + r" \\", r"\midrule"]
        lines += [" & ".join(_tex_cell(cell) for cell in row.cells) + r" \\" for row in self.rows]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


EMPTY = Cell("–")


def words(*texts: str) -> list[Cell]:
    """Return a cell for each text, sorted by it."""
    return [Cell(text, text) for text in texts]


def text_columns(*labels: str, minor: tuple[str, ...] = ()) -> list[Column]:
    """Return columns of text with these labels."""
    return [Column(label, numeric=False, minor=label in minor) for label in labels]


def significance(gain: float, p_holm: float) -> str:
    """Return the mark of a difference: `better` or `worse` where it is significant."""
    if not p_holm < SIGNIFICANT:  # undefined with one seed
        return ""
    return "better" if gain > 0 else "worse"


def algorithm_cell(setting: Setting, algorithm: str, title: str) -> Cell:
    """Return the title of an algorithm, linked to its runs in a setting."""
    return Cell(title, title, link=f"#{runs_anchor(setting, algorithm)}")


def runs_anchor(setting: Setting, algorithm: str) -> str:
    """Return the id under which the page keeps the runs behind a number."""
    return f"runs-{setting.slug}-{algorithm}"


def _markdown(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return {"best": f"**{text}**", "tied": f"≈ {text}"}.get(cell.mark, text)


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)


def _tex_cell(cell: Cell) -> str:
    text = _tex(cell.text)
    return {"best": rf"\textbf{{{text}}}", "tied": rf"$\approx$ {text}"}.get(cell.mark, text)
