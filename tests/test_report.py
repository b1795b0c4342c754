"""The page of a synthetic study: nothing is missing, links lead somewhere, equal studies give equal bytes."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from bench.report.page import build_report
from bench.report.summary import read_summary
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.report_page import Outline, build, prepare_small_glyphs
from tests.synthetic import make_study


@pytest.fixture
def page(example_page) -> Path:
    return example_page


@pytest.fixture
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
    inside = set(re.findall(r'<figure class="plots" id="figure-shifts-([^"]+)-task"', page.read_text()))
    assert inside == {"omniglot-5way-1shot", "glyphs-5way-1shot"}
    for task in ("omniglot-20way-1shot", "glyphs-5way-5shot", "glyphs-5way-10shot"):
        assert f"figure-shifts-{task}-task" in found.ids
        assert f"figures/shifts-{task}-task.svg" in found.links
    test_links_resolve(page, found)


def test_a_study_that_was_not_summarized_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    with pytest.raises(FileNotFoundError, match="cells.csv does not exist; run `python -m bench summarize"):
        read_summary(load_study(make_study(tmp_path, algorithms=("protonet",), shifts={}, episodes=20)))
