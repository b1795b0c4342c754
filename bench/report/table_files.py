"""The files of a table: Markdown and LaTeX as printed, and CSV, where one cell of the page is several columns of numbers.

In CSV, `89.2 ± 1.3†` is 89.2, 1.3 and the note †, and `86.2 (69.3 to 100.0)` a number and two ends; a time is in seconds.
Units stand in the headings, or in docs/results.md.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report.table import Cell, Table
from bench.results.files import write_text

NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
CELL = re.compile(
    rf"(?P<sign>[×<]?) ?(?P<value>{NUMBER})(?: (?P<unit>s|min|h|%))?"
    rf"(?: ± (?P<half>{NUMBER})| \((?P<low>{NUMBER}) to (?P<high>{NUMBER})\)| to ×?(?P<end>{NUMBER}))?"
    r"(?P<note>[†*]| [^×]*)?"
)
SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Parts:
    """What a cell says: numbers as texts ("" = none), and words beside them or instead of them."""

    value: str = ""
    half: str = ""
    low: str = ""
    high: str = ""
    note: str = ""
    unit: str = ""


def save(table: Table, folder: Path) -> None:
    """Write `<name>.csv`, `.md` and `.tex` into the folder."""
    for suffix, text in (("csv", to_csv(table)), ("md", table.to_markdown()), ("tex", table.to_latex())):
        write_text(folder / f"{table.name}.{suffix}", text)


def to_csv(table: Table) -> str:
    """Return the table with one number per field, an empty field where there is none, and plain minus signs."""
    columns = []
    for i, (heading, column) in enumerate(zip(table.headings(), table.columns, strict=True)):
        cells = [row.cells[i] for row in table.rows]
        columns += (
            _columns(heading, cells) if column.numeric else [(heading, [_plain(cell) for cell in cells])]
        )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([heading for heading, _ in columns])
    writer.writerows(zip(*(fields for _, fields in columns), strict=True))
    return out.getvalue()


def _columns(heading: str, cells: Sequence[Cell]) -> list[tuple[str, list[str]]]:
    """Return the columns of one column: number, half interval, ends of the interval, words; each where any cell has it.

    A column whose cells are words with digits, as `5-way 1-shot`, stays one column.
    """
    found = [_parts(cell) for cell in cells]
    numbers = any(parts.value or parts.low for parts in found)
    if not numbers and any(re.search(r"\d", parts.note) for parts in found):
        return [(heading, [_plain(cell) for cell in cells])]
    units = {parts.unit for parts in found}
    named = heading + (
        ", s" if units & SECONDS.keys() else ", %" if "%" in units and "%" not in heading else ""
    )
    columns = [
        (named, [parts.value for parts in found]),
        (f"{named} ±", [parts.half for parts in found]),
        (f"{named} low", [parts.low for parts in found]),
        (f"{named} high", [parts.high for parts in found]),
        (f"{heading}, note", [parts.note for parts in found]),
    ]
    kept = [(name, fields) for name, fields in columns if any(fields)]
    return kept if numbers else [columns[0], *kept]


def _plain(cell: Cell) -> str:
    return "" if cell.text == "–" else cell.text.replace("−", "-")


def _parts(cell: Cell) -> Parts:
    text = _plain(cell)
    hit = CELL.fullmatch(text)
    if hit is None:
        return Parts(note=text)
    groups = {
        name: (value or "").replace(",", "") for name, value in hit.groupdict().items() if name != "note"
    }
    note = f"{groups['sign']} {hit['note'] or ''}".strip().strip("()")
    value, low, high = groups["value"], groups["low"], groups["high"]
    if groups["unit"] in SECONDS:
        exact = cell.value if isinstance(cell.value, int | float) else float(value) * SECONDS[groups["unit"]]
        value = f"{exact:.6g}"
    if groups["end"]:
        value, low, high = "", value, groups["end"]
    return Parts(value, groups["half"], low, high, note, groups["unit"])
