"""The report of a synthetic study: what the page says, what it links to, and how it behaves in a browser."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from bench.figures import own_task
from bench.report import build_report, read_summary
from bench.study import load_study
from bench.style import COLOURS, MARKERS, looks, number
from bench.summarize import summarize
from bench.tables import Cell, Column, Row, Table
from tasks.card import Built, prepared_digest, write_card
from tasks.dataset import write_prepared
from tasks.seeds import numpy_generator
from tests.browser import CHROMIUM, Browser
from tests.synthetic import make_study

ALGORITHMS = ("pixel_nn", "protonet", "maml", "fomaml", "lstm")
DATASETS = {
    "omniglot": {"ways": [5], "shots": [1]},
    "glyphs": {"ways": [5], "shots": [1]},
    "sinusoid": {"shots": [5]},
}
DIVERGED, MISSING, UNTESTED = (
    "glyphs/5way_1shot/lstm/seed1",
    "omniglot/5way_1shot/lstm/seed0",
    "glyphs/5way_1shot/fomaml/seed0",
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def prepare_small_glyphs(root: Path) -> None:
    """A prepared data set of random blots, so that cards and picture sheets have something to show."""
    images = (numpy_generator("report").random((24, 20, 28, 28)) > 0.8).astype(np.uint8) * 255
    names = [f"script/character{c:02d}" for c in range(24)]
    parts = {"train": list(range(12)), "val": list(range(12, 16)), "test": list(range(16, 24))}
    meta = {
        "name": "glyphs",
        "kind": "glyphs",
        "size": 28,
        "channels": 1,
        "class_names": names,
        "groups": ["script"] * 24,
    }
    meta |= {
        "splits": {"default": parts},
        "default_split": "default",
        "rotations": 1,
        "mean": [0.0],
        "std": [1.0],
    }
    meta |= {
        "digest": prepared_digest(images, names),
        "source": "random blots",
        "licence": "none",
        "citation": "nobody",
    }
    write_card(Built(images, meta), write_prepared("glyphs", images, meta, root=root))


def build(root: Path, **changes) -> Path:
    """Make, summarize and report a synthetic study below root; the page's path."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RESULTS", "REPORTS"):
            patch.setenv(f"{name}_ROOT", str(root / name.lower()))
        study = load_study(make_study(root, **changes))
        summarize(study)
        return build_report(study)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("report")
    prepare_small_glyphs(root / "data" / "prepared")
    return build(
        root,
        algorithms=ALGORITHMS,
        datasets=DATASETS,
        shifts={"smear": (1, 3, 5), "shear": (1, 5)},
        diverged=[DIVERGED],
        missing=[MISSING, MISSING.replace("seed0", "seed1")],
        untested=[UNTESTED],
    )


@pytest.fixture(scope="module")
def tables(page) -> Path:
    return page.parents[2] / "results" / "synthetic" / "tables"


class Outline(HTMLParser):
    """Headings, ids, links, sources and nameless pictures of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.headings, self.ids, self.links, self.sources, self.nameless = [], [], [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.sources += [
            attrs[key] for key in ("src", "href", "srcset", "data") if key in attrs and tag != "a"
        ]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if (tag == "img" and not attrs.get("alt")) or (
            attrs.get("role") == "img" and not attrs.get("aria-label")
        ):
            self.nameless.append(attrs)


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    return Outline(page)


def test_everything_is_in_the_page(outline):
    outside = [source for source in outline.sources if not source.startswith(("data:", "#"))]
    assert not outside
    assert len(outline.sources) > 3, "no picture at all would pass, too"


def test_links_resolve(page, outline):
    inside = {link[1:] for link in outline.links if link.startswith("#")}
    assert inside <= set(outline.ids)
    files = [link for link in outline.links if not link.startswith("#")]
    assert len(files) > 20 and all((page.parent / link).is_file() for link in files)


def test_ids_are_unique(outline):
    assert len(outline.ids) == len(set(outline.ids))


def test_headings_are_in_order_and_pictures_have_words(outline):
    assert outline.headings.count(1) == 1 and outline.headings[0] == 1
    assert all(
        after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False)
    )
    assert not outline.nameless


def test_size(page):
    assert page.stat().st_size < 3e6


def headline(page: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((page.parent / "tables" / "headline.csv").open()))


def test_the_numbers_are_those_of_the_summary(page, tables):
    row = (
        own_task(read_summary(tables, list(DATASETS)).cells)
        .query("dataset == 'omniglot' and algorithm == 'maml' and shift == 'none'")
        .iloc[0]
    )
    shown = next(r for r in headline(page) if r["Algorithm"] == "MAML" and r["Mode"].startswith(row["mode"]))
    half = (row["high"] - row["low"]) / 2
    assert shown["Omniglot 5-way 1-shot: Accuracy, %"] == f"{100 * row['mean']:.1f} ± {100 * half:.1f}"
    assert shown["Omniglot 5-way 1-shot: Episode ±"] == f"{100 * row['episode_half_width']:.1f}"
    assert shown["Omniglot 5-way 1-shot: Published"] == "98.7 ± 0.4"
    assert shown["Omniglot 5-way 1-shot: Difference"] == f"{100 * row['mean'] - 98.7:+.1f}"
    assert shown["Omniglot 5-way 1-shot: Trained on"] == "5-way 1-shot"


def test_published_values_stand_only_beside_their_own_mode(page):
    key = "Omniglot 5-way 1-shot: Published"
    by_mode = {r["Mode"]: r[key] for r in headline(page) if r["Algorithm"] == "MAML"}
    assert by_mode == {"inductive": "–", "transductive, paper": "98.7 ± 0.4"}


def test_floors_close_the_table(page):
    pixel, chance = headline(page)[-2:]
    assert pixel["Algorithm"] == "Pixel nearest neighbour"
    assert (chance["Algorithm"], chance["Glyphs 5-way 1-shot: Accuracy, %"]) == ("Chance", "20.0")
    assert chance["Sinusoid 5-shot: Squared error"] == "–"


def test_best_and_indistinguishable_values_are_marked(page, tables):
    comparisons = pd.read_csv(tables / "comparisons.csv").query("dataset == 'glyphs' and shift == 'none'")
    best = (
        own_task(read_summary(tables, list(DATASETS)).cells)
        .query("dataset == 'glyphs' and shift == 'none'")
        .sort_values("mean")
        .iloc[-1]
    )
    near = {
        frozenset((r.algorithm_a, r.algorithm_b)) - {best["algorithm"]}
        for r in comparisons.itertuples()
        if best["algorithm"] in (r.algorithm_a, r.algorithm_b) and r.p_holm >= 0.05
    }
    text = (page.parent / "tables" / "headline.md").read_text()
    column = [line.split(" | ")[8] for line in text.splitlines()[2:]]
    assert sum(cell.startswith("**") for cell in column) == 1
    assert sum(cell.startswith("≈") for cell in column) == len(near)


def test_missing_and_failed_runs_are_listed_with_their_reason(page):
    rows = list(csv.DictReader((page.parent / "tables" / "missing.csv").open()))
    assert {(r["Setting"], r["Algorithm"], r["Seed"], r["Status"]) for r in rows} == {
        ("Glyphs 5-way 1-shot", "LSTM learner", "1", "diverged"),
        ("Glyphs 5-way 1-shot", "First-order MAML", "0", "untested"),
        ("Omniglot 5-way 1-shot", "LSTM learner", "0", "missing"),
        ("Omniglot 5-way 1-shot", "LSTM learner", "1", "missing"),
    }
    assert "the loss was not finite at step 600" in {r["Reason"] for r in rows}
    partial = next(r for r in headline(page) if r["Algorithm"] == "LSTM learner")
    assert partial["Glyphs 5-way 1-shot: Accuracy, %"].endswith("†")
    assert partial["Omniglot 5-way 1-shot: Accuracy, %"] == "missing"


def test_figures_and_tables_are_files_too(page):
    figures = {path.name for path in (page.parent / "figures").iterdir()}
    stems = {Path(name).stem for name in figures}
    assert {
        "headline",
        "ranks",
        "shifts-glyphs-5way-1shot-query",
        "learning-omniglot-5way-1shot",
        "sheet-glyphs",
    } <= stems
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "pdf")}
    assert {path.suffix for path in (page.parent / "tables").iterdir()} == {".csv", ".md", ".tex"}


def test_the_same_study_gives_the_same_bytes(tmp_path):
    prepare_small_glyphs(tmp_path / "data" / "prepared")
    small = {
        "algorithms": ("protonet", "maml"),
        "datasets": {"glyphs": {"ways": [5], "shots": [1]}},
        "shifts": {"smear": (5,)},
    }
    folder = build(tmp_path, **small).parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    build(tmp_path, **small)
    assert [path.name for path, content in before.items() if path.read_bytes() != content] == []


def test_text_from_outside_cannot_become_markup(tmp_path, monkeypatch):
    for name in ("DATA", "RESULTS", "REPORTS"):
        monkeypatch.setenv(f"{name}_ROOT", str(tmp_path / name.lower()))
    path = make_study(tmp_path, algorithms=("protonet",), shifts={}, seeds=(0,))
    config = yaml.safe_load(path.read_text()) | {"title": "<script>alert(1)</script>"}
    path.write_text(yaml.safe_dump(config))
    summarize(load_study(path))
    text = build_report(load_study(path)).read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_study_without_any_result_still_has_a_page(tmp_path):
    runs = [f"glyphs/5way_1shot/protonet/seed{seed}" for seed in (0, 1)]
    page = build(
        tmp_path, algorithms=("protonet",), datasets={"glyphs": {"ways": [5], "shots": [1]}}, missing=runs
    )
    assert "No run has a result yet" in page.read_text()
    assert len(list(csv.DictReader((page.parent / "tables" / "missing.csv").open()))) == 2


def test_a_study_that_was_not_summarized_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="cells.csv does not exist; run `python -m bench summarize"):
        read_summary(tmp_path, [])


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


def test_the_looks_of_a_family_differ():
    algorithms = [f"a{i}" for i in range(10)]
    rows = pd.DataFrame({"algorithm": algorithms, "title": algorithms, "family": "optimization-based"})
    assert len({(look.colour, look.marker) for look in looks(rows).values()}) == 10
    assert all(len(set(markers)) == len(markers) for markers in MARKERS.values())


# In a browser


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


COLUMN = "[...document.querySelectorAll('#table-headline tbody:not(.floor) tr')].filter(r => !r.hidden).map(r => r.cells[{}].dataset.value)"


@needs_browser
@pytest.mark.parametrize("width", [1440, 390])
def test_offline_without_complaints_or_overflow(opened, page, width):
    opened.resize(width, 900)
    opened.eval("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.eval("document.documentElement.scrollWidth") <= width
    assert [url for url in opened.requests if not url.startswith("data:")] == [page.as_uri()]
    assert opened.errors == []


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


def choose(browser: Browser, name: str, value: str) -> None:
    browser.eval(
        f"(() => {{ const s = document.querySelector('#table-headline [data-filter={name}]'); s.value = {json.dumps(value)};"
        " s.dispatchEvent(new Event('change')); })()"
    )


@needs_browser
def test_filters(opened):
    choose(opened, "family", "metric-based")
    assert set(opened.eval(COLUMN.format(1))) == {"metric-based"}
    choose(opened, "mode", "compared")
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
