"""The report of a synthetic study: what the page says, what it links to, and how it behaves in a browser."""

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from bench.report.figures import own_task
from bench.report.report import build_report, read_summary
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.browser import CHROMIUM, Browser
from tests.report_page import Outline, build, prepare_small_glyphs
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
        experiments={
            "shots": [1, 5],
            "ways": [10],
            "steps": [0, 5],
            "within_alphabet": True,
            "memorisation": True,
        },
    )


@pytest.fixture(scope="module")
def tables(page) -> Path:
    return page.parents[2] / "results" / "synthetic" / "tables"


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    return Outline(page)


def test_everything_is_in_the_page(outline):
    outside = [source for source in outline.sources if not source.startswith(("data:", "#"))]
    assert not outside
    assert len(outline.sources) > 3, "no picture at all would pass, too"


def test_drawings_find_their_parts_and_share_their_looks(page, outline):
    parts = [source[1:] for source in outline.sources if source.startswith("#")]
    assert len(parts) > 100 and set(parts) <= set(outline.ids)
    drawings = "".join(re.findall(r'<svg viewBox="0 0 .*?</svg>', page.read_text(), re.S))
    assert "font-family" not in drawings and 'style="' not in drawings
    used = set(re.findall(r'<(?:path|use|text) [^>]*class="(v\d+)"', drawings))
    assert len(used) > 10 and all(f"\n.{name}{{" in page.read_text() for name in used - {"v0"})


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


def test_other_tasks_have_curves_and_a_table_and_leave_the_headline_alone(page):
    rows = list(csv.DictReader((page.parent / "tables" / "other-tasks.csv").open()))
    maml = next(r for r in rows if r["Algorithm"] == "MAML" and r["Setting"] == "Omniglot 5-way 1-shot")
    shown = next(r for r in headline(page) if r["Algorithm"] == "MAML" and r["Mode"].endswith("paper"))
    assert maml["As trained"] == shown["Omniglot 5-way 1-shot: Accuracy, %"]
    prototypes = next(
        r for r in rows if r["Algorithm"].startswith("Proto") and r["Setting"] == "Omniglot 5-way 1-shot"
    )
    columns = ["Within one alphabet", "Training classes", "Training classes, 0 steps"]
    columns.append("Training classes, support labels moved")
    assert all(re.fullmatch(r"\d+\.\d ± \d+\.\d", maml[column]) for column in columns)
    assert [prototypes[column] == "–" for column in columns] == [False, False, True, False], (
        "no inner loop, no steps"
    )
    text = re.sub(r"\s+", " ", page.read_text())
    assert "Omniglot 5-way 1-shot, against gradient steps at test: MAML" in text
    ways = re.search(r"Omniglot 5-way 1-shot, against classes at test: ([^\"]*)", text)[1]
    assert "Prototypical networks" in ways and "MAML" not in ways


def test_calibration_has_a_table_and_diagrams(page, tables):
    rows = list(csv.DictReader((page.parent / "tables" / "calibration.csv").open()))
    scores = pd.read_csv(tables / "calibration_scores.csv").query(
        "dataset == 'omniglot' and algorithm == 'maml' and metric == 'ece'"
    )
    by_mode = {
        r["Mode"]: r for r in rows if (r["Setting"], r["Algorithm"]) == ("Omniglot 5-way 1-shot", "MAML")
    }
    columns = {
        "clean": "In distribution: Calibration error, %",
        "task": "Hardest shifts, whole task shifted: Calibration error, %",
    }
    for conditions, column in columns.items():
        for row in scores[scores["conditions"].eq(conditions)].itertuples():
            half = (row.high - row.low) / 2
            assert by_mode[row.mode][column] == f"{100 * row.mean:.1f} ± {100 * half:.1f}"
    error = scores.query("mode == 'transductive' and conditions == 'task'")["mean"].item()
    text = re.sub(r"\s+", " ", page.read_text())
    said = "Omniglot 5-way 1-shot, hardest shifts, whole task shifted, optimization-based: MAML calibration error "
    assert f"{said}{100 * error:.1f}, confidence" in text
    assert not [r for r in rows if r["Setting"].startswith("Sinusoid")]


def test_modes_stand_side_by_side(page, tables):
    rows = list(csv.DictReader((page.parent / "tables" / "modes.csv").open()))
    expected = pd.read_csv(tables / "modes.csv").sort_values("difference", ascending=False)
    glyphs = [r for r in rows if r["Setting"] == "Glyphs 5-way 1-shot"]
    assert [r["Algorithm"] for r in glyphs] == expected.query("dataset == 'glyphs'")["title"].tolist()
    first = expected.query("dataset == 'glyphs'").iloc[0]
    assert glyphs[0]["Difference"] == f"{100 * first['difference']:+.1f}"
    alt = re.search(r"Glyphs 5-way 1-shot, inductive and transductive: ([^\"]*)", page.read_text())[1]
    assert alt.startswith(f"{first['title']} {100 * first['inductive']:.1f} and")
    assert {r["Algorithm"] for r in rows} == {"Prototypical networks", "MAML", "First-order MAML"}


def test_floors_close_the_table(page):
    pixel, chance = headline(page)[-2:]
    assert pixel["Algorithm"] == "Pixel nearest neighbour"
    assert (chance["Algorithm"], chance["Glyphs 5-way 1-shot: Accuracy, %"]) == ("Chance", "20.0")
    assert chance["Sinusoid 5-shot: Squared error"] == "–"


def test_best_and_indistinguishable_values_are_marked(page, tables):
    comparisons = pd.read_csv(tables / "comparisons.csv").query(
        "dataset == 'glyphs' and shift == 'none' and test_tasks == 'standard' and test_way == 5 and test_shot == 1 "
        "and test_steps == -1"
    )
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
    assert len(near) < len(ALGORITHMS) - 2, "all tie: nothing is tested"


def test_paired_differences_are_those_on_tasks_as_trained_for(page, tables):
    pairs = pd.read_csv(tables / "comparisons.csv").query(
        "dataset == 'glyphs' and shift == 'none' and algorithm_a == 'protonet' and algorithm_b == 'maml'"
    )
    assert pairs["difference"].nunique() > 1, "other tasks were compared, too"
    own = pairs.query(
        "test_tasks == 'standard' and test_way == 5 and test_shot == 1 and test_steps == -1"
    ).iloc[0]
    rows = list(csv.DictReader(open(page.parent / "tables" / "differences-clean-glyphs-5way-1shot.csv")))
    shown = next(row for row in rows if row["Row minus column"] == "Prototypical networks")
    assert shown["MAML"] == f"{100 * own['difference']:+.1f}"


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
        "modes",
        "reliability-glyphs-5way-1shot-clean",
        "reliability-omniglot-5way-1shot-task",
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
    write_claims(load_study(path))
    text = build_report(load_study(path)).read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_study_without_any_result_still_has_a_page(tmp_path):
    runs = [f"glyphs/5way_1shot/protonet/seed{seed}" for seed in (0, 1)]
    page = build(
        tmp_path, algorithms=("protonet",), datasets={"glyphs": {"ways": [5], "shots": [1]}}, missing=runs
    )
    assert "No run has a result yet" in page.read_text()
    assert len(list(csv.DictReader((page.parent / "tables" / "missing.csv").open()))) == 2


def test_of_many_tasks_the_page_has_the_curves_of_each_data_sets_first(tmp_path):
    page = build(
        tmp_path,
        algorithms=("protonet", "maml"),
        datasets={"omniglot": {"ways": [5, 20], "shots": [1]}, "glyphs": {"ways": [5], "shots": [1, 5, 10]}},
        shifts={"smear": (1,)},
        scopes=["task"],
        episodes=20,
        shift_episodes=10,
    )
    found = Outline(page)
    inside = set(re.findall(r'<figure class="plots *" id="figure-shifts-([^"]+)-task"', page.read_text()))
    assert inside == {"omniglot-5way-1shot", "glyphs-5way-1shot"}
    for task in ("omniglot-20way-1shot", "glyphs-5way-5shot", "glyphs-5way-10shot"):
        assert f"figure-shifts-{task}-task" in found.ids
        assert f"figures/shifts-{task}-task.svg" in found.links
    test_links_resolve(page, found)


def test_a_study_that_was_not_summarized_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="cells.csv does not exist; run `python -m bench summarize"):
        read_summary(tmp_path, [])


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
