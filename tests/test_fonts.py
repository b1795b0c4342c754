"""The small font of PDFs: every letter is there, whichever font it comes from."""

import warnings

import pytest

from bench.report.figure import Figure, Panel
from bench.report.fonts import SMALL, pdf_settings


def figure(words: str) -> Figure:
    return Figure("f", words, [Panel(words, "A line.", lambda ax: ax.set_xlabel(words))])


@pytest.mark.parametrize(("words", "small"), [("Größe ± 2\nα → −1", True), ("Точность", False)])
def test_no_letter_is_missing_and_the_small_font_is_taken_where_it_has_all(words, small, tmp_path):
    canvas = figure(words).together()
    assert (pdf_settings(canvas).get("font.sans-serif") == SMALL) == small
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns of a letter that a font lacks
        figure(words).save(tmp_path)
    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"+DejaVuSans" in pdf and b"LastResort" not in pdf
    figure(words).save(tmp_path)
    assert (tmp_path / "f.pdf").read_bytes() == pdf
