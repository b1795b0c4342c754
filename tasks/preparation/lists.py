"""Lists of images (filename,label) as spreadsheets, editors and other projects write them."""

import csv
import io
import re
from pathlib import PurePosixPath

from tasks.preparation.archives import DataError, describe

NAMES = {"filename", "file", "file name", "file_name", "image", "image_name", "img", "path", "name", "id"}
LABELS = {"label", "labels", "class", "class_name", "classname", "category", "wnid", "target", "synset"}
COLUMNS = {
    "name": NAMES,
    "label": LABELS,
    "group": {
        "group",
        "groups",
        "alphabet",
        "script",
        "species",
        "super_category",
        "supercategory",
        "superclass",
    },
    "split": {"split", "part", "subset", "partition", "set"},
}
SUFFIXES = {".csv", ".tsv", ".txt"}
PARTS = {
    "train": {"train", "training", "base"},
    "val": {"val", "valid", "validate", "validation", "dev"},
    "test": {"test", "testing", "novel", "eval", "evaluation"},
}


def part_of(name: str) -> str | None:
    """Part of the split that the last telling word of a path names: `base.csv` -> train, `cache-validation.pkl` -> val."""
    words = re.split("[^a-z]+", name.casefold().rsplit(".", 1)[0])
    named = [part for word in words for part, aliases in PARTS.items() if word in aliases]
    return named[-1] if named else None


def read_pairs(data: bytes, place: str) -> list[tuple[str, str]]:
    """(file name without folders, label) of each row of a list, as `read_table` reads it. DataError: no such columns."""
    table = read_table(data, place)
    if not table or not {"name", "label"} <= set(table[0]):
        raise DataError(f"{place}: {describe(data)}, not a csv with the columns filename,label")
    return [(PurePosixPath(row["name"].replace("\\", "/")).name, row["label"]) for row in table]


def read_table(data: bytes, place: str) -> list[dict[str, str]]:
    """Rows of a list by column: `name` (of a file), `label`, `group`, `split`, as far as there are such columns.

    Understood: UTF-8 and UTF-16 with or without byte order mark, commas, semicolons or tabs, quotes, any line ends, upper
    case and other usual names of the columns, further columns, blank rows. DataError: anything else.
    """
    try:
        lines = _text(data).splitlines()
        head = next((line for line in lines if line.strip()), "")
        rows = csv.reader(lines, delimiter=max(",;\t", key=head.count))
        table = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{place}: {describe(data)}, not a csv ({error})") from error
    header = [cell.casefold() for cell in table[0]] if table else []
    columns = {
        column: next(i for i, cell in enumerate(header) if cell in known)
        for column, known in COLUMNS.items()
        if known & set(header)
    }
    short = [row for row in table if columns and len(row) <= max(columns.values())]
    if short:
        raise DataError(f"{place}: row {short[0]} lacks a column of {header}")
    return [{column: row[i] for column, i in columns.items()} for row in table[1:]]


def _text(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return io.TextIOWrapper(io.BytesIO(data), "utf-16").read()
    return data.decode("utf-8-sig")
