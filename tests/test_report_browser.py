"""How the page of a synthetic study behaves in a browser: offline, sortable, filterable, on a wide and a narrow screen."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture
def page(example_page) -> Path:
    return example_page


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@pytest.fixture
def opened(browser, page) -> Browser:
    browser.resize(1440, 900)
    browser.requests.clear()
    browser.errors.clear()
    browser.open(page)
    return browser


COLUMN = "[...document.querySelectorAll('#table-headline tbody:not(.floor) tr')].filter(r => !r.hidden).map(r => r.cells[{}]).map(c => c.matches('.word') ? c.textContent.trim() : c.dataset.value)"


@needs_browser
@pytest.mark.parametrize("width", [1440, 390])
def test_offline_without_complaints_or_overflow(opened, page, width):
    opened.resize(width, 900)
    opened.eval("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.eval("document.documentElement.scrollWidth") <= width
    assert [url for url in opened.requests if not url.startswith("data:")] == [page.as_uri()]
    assert opened.errors == []


@needs_browser
def test_long_findings_have_a_column_of_their_own(opened):
    left = "Math.round(document.querySelector('#result > {}').getBoundingClientRect().left)".format
    assert opened.eval(left("figure")) == opened.eval(left("#contrast")) > opened.eval(left(".findings"))
    opened.eval("document.querySelectorAll('.findings > :nth-child(n + 5)').forEach(item => item.remove())")
    assert opened.eval(left("figure")) == opened.eval(left(".findings")) < opened.eval(left("#contrast"))
    opened.eval("document.querySelector('#contrast').remove()")
    assert opened.eval(left("figure")) > opened.eval(left(".findings"))


@needs_browser
def test_sorting_by_click_and_by_keyboard(opened):
    heading = "document.querySelectorAll('#table-headline thead tr:last-child th')[3]"
    opened.eval(f"{heading}.querySelector('button').click()")
    falling = [float(v) for v in opened.eval(COLUMN.format(3)) if v]
    assert opened.eval(f"{heading}.getAttribute('aria-sort')") == "descending"
    assert len(falling) > 5 and falling == sorted(falling, reverse=True)
    opened.eval(f"{heading}.querySelector('button').focus()")
    opened.press("Enter", 13)
    rising = [float(v) for v in opened.eval(COLUMN.format(3)) if v]
    assert opened.eval(f"{heading}.getAttribute('aria-sort')") == "ascending"
    assert rising == sorted(falling)
    assert (
        opened.eval("document.querySelector('#table-headline tbody:last-child tr:last-child').textContent")
        .strip()
        .startswith("Chance")
    )


@needs_browser
def test_a_column_of_words_is_sorted_by_its_text(opened):
    opened.eval("document.querySelector('#table-headline thead tr:last-child th button').click()")
    names = opened.eval(COLUMN.format(0))
    assert len(set(names)) > 3 and names == sorted(names, key=str.casefold)


def choose(browser: Browser, name: str, value: str) -> None:
    browser.eval(
        f"(() => {{ const s = document.querySelector('#table-headline [data-filter={name}]'); s.value = {json.dumps(value)};"
        " s.dispatchEvent(new Event('change')); })()"
    )


@needs_browser
def test_filters(opened):
    choose(opened, "family", "metric-based")
    assert set(opened.eval(COLUMN.format(1))) == {"metric-based"}
    choose(opened, "mode", "reported")
    assert opened.eval(COLUMN.format(0)) == ["Prototypical networks"]
    choose(opened, "group", "Glyphs 5-way 1-shot")
    shown = opened.eval(
        "[...document.querySelectorAll('#table-headline thead tr:last-child th')].filter(h => !h.hidden).map(h => h.dataset.group)"
    )
    assert set(shown) == {"", "Glyphs 5-way 1-shot"}


@needs_browser
def test_download_of_the_visible_table(opened):
    choose(opened, "family", "optimization-based")
    choose(opened, "group", "Glyphs 5-way 1-shot")
    opened.eval("document.querySelector('#table-headline .download').click()")
    rows = list(csv.DictReader(io.StringIO(opened.wait_for_download("headline.csv").read_text())))
    assert {row["Family"] for row in rows} == {"optimization-based", "baseline", "floor"}
    assert not any(key.startswith("Omniglot") for key in rows[0])
    assert re.fullmatch(r"(≈ )?\d+\.\d ± \d+\.\d†?", rows[0]["Glyphs 5-way 1-shot: Accuracy, %"])


@needs_browser
def test_a_number_leads_to_its_runs(opened):
    opened.eval("document.querySelector('#table-headline tbody td a').click()")
    opened.eval("new Promise(done => setTimeout(done, 100))")
    inside = "document.querySelector('.runs:target')"
    assert opened.eval(f"{inside}.open && {inside}.closest('.fold').open")
    assert "results/synthetic/" in opened.eval(f"{inside}.querySelector('table').textContent")


@needs_browser
def test_the_legend_brings_curves_forward(opened):
    opened.eval("document.querySelector('#shifts .legend button[data-algorithm=maml]').click()")
    front = opened.eval(
        "[...new Set([...document.querySelectorAll('#shifts .front')].map(s => s.dataset.algorithm))]"
    )
    assert front == ["maml"]
    dimmed = opened.eval(
        "getComputedStyle(document.querySelector('#shifts figure.chosen .series:not(.front)')).opacity"
    )
    assert float(dimmed) < 0.3
