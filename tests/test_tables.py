"""Tables as files, numbers as text, and the palette."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.report.numbers import number
from bench.report.style import COLOURS, MARKERS, styles_of
from bench.report.table import Cell, Column, Row, Table
from bench.report.table_files import to_csv


def test_latex_and_markdown_escape_what_they_must():
    table = Table(
        "t",
        "T",
        [Column("A & b", numeric=False), Column("%")],
        [Row([Cell("x_1|y"), Cell("1 ± 2", mark="best")])],
    )
    assert r"A \& b & \% \\" in table.to_latex() and r"x\_1|y & \textbf{1 $\pm$ 2} \\" in table.to_latex()
    assert r"| x_1\|y | **1 ± 2** |" in table.to_markdown()


def test_pandas_reads_a_table_as_numbers():
    """What stands in one cell of the page is several columns; what is no number stands in a column of notes."""
    printed = {
        "Accuracy, %": ["89.2 ± 1.3†", "86.2 (69.3 to 100.0)", "missing"],
        "Difference": ["−4.1", "+0.3", "–"],
        "95 % interval": ["−5.0 to −3.2", "×1.5 to ×2", "–"],
        "Tasks": ["12,800 (1 of 2)", "300", "not reached"],
        "Time": ["42 s", "3.5 min", "2.1 h"],
        "Budget": ["0.5 %", "2 %", "–"],
        "p": ["< 0.001", "0.250", "–"],
        "Published": ["98.3 (Nichol's harness)", "98.7 ± 0.4", "–"],
        "Trained on": ["5-way 1-shot", "20-way 5-shot", "–"],
        "n": ["2 × 600", "1 × 600", "2 × 100"],
        "Never": ["not reached", "–", "not reached"],
    }
    exact = {"3.5 min": 211.7}
    rows = [
        Row([Cell(text, exact.get(text)) for text in line]) for line in zip(*printed.values(), strict=True)
    ]
    read = pd.read_csv(io.StringIO(to_csv(Table("t", "T", [Column(name) for name in printed], rows))))
    words = {f"{name}, note" for name in ("Accuracy, %", "95 % interval", "Tasks", "p", "Published", "Never")}
    words |= {"Trained on", "n"}
    assert set(read.select_dtypes("object")) == words
    nan = np.nan
    expected = {
        "Accuracy, %": [89.2, 86.2, nan], "Accuracy, % ±": [1.3, nan, nan], "Accuracy, % low": [nan, 69.3, nan],
        "Accuracy, % high": [nan, 100, nan], "Difference": [-4.1, 0.3, nan], "95 % interval low": [-5, 1.5, nan],
        "95 % interval high": [-3.2, 2, nan], "Tasks": [12_800, 300, nan], "Time, s": [42, 211.7, 7560],
        "Budget, %": [0.5, 2, nan], "p": [0.001, 0.25, nan], "Published": [98.3, 98.7, nan], "Published ±": [nan, 0.4, nan],
        "Never": [nan, nan, nan],
    }  # fmt: skip
    for name, numbers in expected.items():
        np.testing.assert_array_equal(read[name], numbers, err_msg=name)
    assert set(read) == words | set(expected)
    assert read["Accuracy, %, note"].tolist()[::2] == ["†", "missing"]
    assert read["Tasks, note"].tolist()[::2] == ["1 of 2", "not reached"] and read["p, note"][0] == "<"


@pytest.mark.parametrize(
    ("value", "metric", "sign", "text"),
    [(0.98765, "accuracy", False, "98.8"), (-0.0004, "accuracy", True, "0.0"), (0.0123, "accuracy", True, "+1.2"),
     (-0.05, "accuracy", True, "−5.0"), (0.3456, "mse", False, "0.346"), (0.0123, "mse", False, "0.012"), (np.nan, "mse", False, "–")],
)  # fmt: skip
def test_numbers(value, metric, sign, text):
    assert number(value, metric, sign) == text


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_is_legible_on_the_light_and_the_dark_page():
    style = (Path(__file__).parents[1] / "workflow" / "report" / "style.css").read_text()
    pages = re.findall(r"--page: (#\w+)", style)
    full = ["#" + "".join(2 * c for c in page[1:]) if len(page) == 4 else page for page in pages[:2]]
    assert len(set(full)) == 2
    assert (
        min(contrast(colour, page) for family in COLOURS.values() for colour in family for page in full) >= 3
    )


def test_the_styles_of_a_family_differ():
    algorithms = [f"a{i}" for i in range(10)]
    rows = pd.DataFrame({"algorithm": algorithms, "title": algorithms, "family": "optimization-based"})
    assert len({(style.colour, style.marker) for style in styles_of(rows).values()}) == 10
    assert all(len(set(markers)) == len(markers) for markers in MARKERS.values())
