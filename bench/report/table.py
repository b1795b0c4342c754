"""A table of the report, and the three files it is saved as: CSV, Markdown and LaTeX."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from bench.results.files import write_text

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
    """text is what is printed; value sorts (None: last); mark: "best", "tied" or ""; note is explained on hover."""

    text: str
    value: float | str | None = None
    mark: str = ""
    link: str = ""
    note: str = ""
    tint: float | None = None


@dataclass(frozen=True)
class Row:
    """family and mode are what the page filters by; a floor row stays at the bottom."""

    cells: list[Cell]
    family: str = ""
    mode: str = ""
    floor: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Group headings with their widths (a column of its own: no heading, width 1); empty when no column has a group."""
        spans: list[list] = []
        for column in self.columns:
            if spans and column.group and spans[-1][0] == column.group:
                spans[-1][1] += 1
            else:
                spans.append([column.group, 1])
        return [tuple(span) for span in spans] if any(name for name, _ in spans) else []

    def headings(self) -> list[str]:
        return [f"{c.group}: {c.label}" if c.group else c.label for c in self.columns]

    def save(self, folder: Path) -> None:
        """Write `<name>.csv`, `.md` and `.tex` into the folder."""
        for suffix, text in (("csv", self.to_csv()), ("md", self.to_markdown()), ("tex", self.to_latex())):
            write_text(folder / f"{self.name}.{suffix}", text)

    def to_csv(self) -> str:
        """As printed, with plain minus signs, so that a spreadsheet reads the numbers."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.headings())
        writer.writerows([cell.text.replace("−", "-") for cell in row.cells] for row in self.rows)
        return out.getvalue()

    def to_markdown(self) -> str:
        """A GitHub table; the best value is bold, those not significantly below it carry the sign ≈."""
        lines = [self.headings(), ["---:" if c.numeric else ":---" for c in self.columns]]
        lines += [[_markdown(cell) for cell in row.cells] for row in self.rows]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)

    def to_latex(self) -> str:
        """A booktabs tabular (needs `\\usepackage{booktabs}`)."""
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


def _markdown(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    return {"best": f"**{text}**", "tied": f"≈ {text}"}.get(cell.mark, text)


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)


def _tex_cell(cell: Cell) -> str:
    text = _tex(cell.text)
    return {"best": rf"\textbf{{{text}}}", "tied": rf"$\approx$ {text}"}.get(cell.mark, text)
