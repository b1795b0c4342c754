"""Tables as files, numbers as text, and the palette."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.report.numbers import number
from bench.report.style import COLOURS, MARKERS, styles_of
from bench.report.table import Cell, Column, Row, Table


def test_latex_and_markdown_escape_what_they_must():
    table = Table(
        "t",
        "T",
        [Column("A & b", numeric=False), Column("%")],
        [Row([Cell("x_1|y"), Cell("1 ± 2", mark="best")])],
    )
    assert r"A \& b & \% \\" in table.to_latex() and r"x\_1|y & \textbf{1 $\pm$ 2} \\" in table.to_latex()
    assert r"| x_1\|y | **1 ± 2** |" in table.to_markdown()


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
