"""The front of the report: its figure, seeds as points, names at line ends, and curves that are gathered by choice."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as MplFigure

from bench.paths import ROOT
from bench.report.axes import end_labels
from bench.report.page import templates
from bench.report.section import TEMPLATES
from bench.report.sections import contrast
from bench.report.sections.severities import severity_figures
from bench.report.style import styles_of
from bench.report.svg import SharedParts
from bench.study.study import load_study
from tests.browser import CHROMIUM, Browser
from tests.test_shift_figures import GLYPHS, crowd


@pytest.fixture
def page(example_page):
    return example_page


@pytest.fixture
def tables(page):
    return page.parents[2] / "results" / "synthetic" / "tables"


def test_the_figure_has_a_panel_per_shift_and_the_paired_loss_below(page, tables):
    text = page.read_text()
    block = re.search(r'<figure[^>]* id="figure-contrast-omniglot-5way-1shot">.*?</figure>', text, re.S)[0]
    titles = re.findall(r'class="panel-title">([^<]+)<', block)
    assert titles == ["Smear", "Shear", "Smear, change", "Shear, change"]
    rows = pd.read_csv(tables / "severities.csv").query("dataset == 'omniglot' and scope == 'task'")
    for measure, panel in (("mean", "Shear"), ("change", "Shear, change")):
        said = re.search(
            rf'aria-label="Omniglot 5-way 1-shot, {panel}, severities 0, 1 and 5; ([^"]*)"', block
        )[1]
        row = rows.query("shift == 'shear' and severity == 5 and algorithm == 'maml'").iloc[0]
        assert f"MAML {100 * row[measure]:.1f} (".replace("-", "−") in said


def test_the_front_says_what_the_tables_and_the_figure_say(page, tables):
    text = re.sub(r"\s+", " ", page.read_text())
    said = re.search(
        r"each learner in the mode of its paper\), the best is ([^,]+), ([\d.]+) %.*?from ([\d.]+)", text
    )
    rows = pd.read_csv(tables / "losses.csv").query(
        "dataset == 'omniglot' and scope == 'task' and kind == 'learner' and mode == 'reported' and family != 'baseline'"
    )
    best = rows.sort_values("mean").iloc[-1]
    assert said[1] == best["title"]
    assert [float(said[2]), float(said[3])] == pytest.approx(
        [100 * best["mean"], 100 * best["clean"]], abs=0.051
    )
    drawn = re.search(r'aria-label="Omniglot 5-way 1-shot: ([^"]*)"', text)[1]
    assert f"{best['title']} " in drawn
    shown = re.search(rf"{best['title']} [\d.]+ \([^)]*\), under the hardest shifts ([\d.]+)", drawn)[1]
    assert float(shown) == float(said[2]), "the headline figure shows the same value"
    verdicts = pd.read_csv(tables / "claims.csv")["verdict"].value_counts()
    assert f"{verdicts.get('undecided', 0)} undecided and {verdicts.get('untested', 0)} untested</a>" in text


@pytest.mark.parametrize("label", ["Omniglot 5-way 1-shot", "Glyphs 5-way 1-shot"])
def test_the_first_screen_says_who_is_best_who_loses_least_in_which_mode_and_what_is_undecided(
    page, tables, label
):
    """Each number of the page's sentences is that of the tables; those of the best are in the figure, too."""
    text = re.sub(r"\s+", " ", page.read_text())
    own = f"dataset == '{label.split()[0].lower()}' and shot == 1 and "
    place = own + (
        "scope == 'clean' and test_tasks == 'standard' and test_way == way and test_shot == shot and test_steps == -1"
    )
    told = re.search(rf"<b>{label}\.</b>(.*?)(?:<b>|</ul>)", text)[1]
    said = re.search(
        r"Best: (.+?), ([\d.]+) % \((\w+) mode, 95 % interval ([\d.]+) to ([\d.]+)\)(.*?)\.<", told
    )
    cells = pd.read_csv(tables / "cells.csv").query(
        place + " and metric == 'accuracy' and paper_mode and family != 'baseline'"
    )
    best = cells.sort_values("mean").iloc[-1]
    assert (said[1], said[3]) == (best["title"], best["mode"])
    numbers = [float(said[i]) for i in (2, 4, 5)]
    assert numbers == pytest.approx([100 * best[end] for end in ("mean", "low", "high")], abs=0.051)
    drawn = re.search(rf'aria-label="{label}: ([^"]*)"', text)[1]
    assert f"{said[1]} {said[2]} ({said[4]} to {said[5]})" in drawn
    pairs = pd.read_csv(tables / "comparisons.csv").query(place + " and not p_best < 0.05")
    close = {frozenset(pair) for pair in zip(pairs["algorithm_a"], pairs["algorithm_b"], strict=True)}
    close = [name for name in cells["algorithm"] if {best["algorithm"], name} in close]
    tied = cells.set_index("algorithm").loc[close]
    assert all(f"{row.title} ({100 * row.mean:.1f})" in said[6] for row in tied.itertuples())
    assert ("cannot be told from it with only" in said[6]) == bool(close)

    said = re.search(r"mean by family with 95 % intervals, all in inductive mode: (.*?)\.<", told)[1]
    rows = pd.read_csv(tables / "losses.csv").query(
        own + "scope == 'task' and kind == 'family' and mode == 'inductive'"
    )
    rows = rows.sort_values("change", ascending=False)
    found = re.findall(r"([\w-]+-based) learners?(?:, .*?,)? ([\d.]+) \(([\d.]+) to ([\d.]+)\)", said)
    assert [name for name, *_ in found] == rows["algorithm"].tolist() and len(rows) > 1
    expected = -100 * rows[["change", "change_high", "change_low"]].to_numpy()
    np.testing.assert_allclose([[float(n) for n in values] for _, *values in found], expected, atol=0.051)
    close = rows.iloc[1:].query("not p_least < 0.05")["algorithm"]
    assert ("cannot be told from the first with only" in said) == bool(len(close))
    assert all(name in said.split(";")[-1] for name in close)


def test_which_learners_stand_in_the_figure():
    every = ["pixel_nn", "protonet", "matching", "maml", "reptile", "snail", "lstm", "mann"]
    assert contrast.chosen(every) == ["maml", "reptile", "protonet", "snail", "lstm"]
    assert contrast.chosen([*every, "fomaml"])[1] == "fomaml"
    assert contrast.chosen(["mine", "protonet"]) == ["mine", "protonet"]
    assert contrast.chosen(list("abcdefgh")) == list("abcdef")


def test_seeds_are_points_where_there_are_too_few_for_an_interval():
    few = crowd(3).assign(seed_means="0.8 0.9", episode_half_width=0.02, n_seeds=2)
    for rows, points, bands in ((few, 12, 0), (few.assign(n_seeds=3), 0, 3)):
        ((panel,),) = [figure.panels for figure in severity_figures(rows, GLYPHS, styles_of(rows))]
        ax = MplFigure().add_subplot()
        panel.draw(ax)
        dots = [line for line in ax.lines if line.get_marker() == "."]
        assert sum(len(line.get_xdata()) for line in dots) == points
        assert (
            len(
                [
                    c
                    for c in ax.collections
                    if type(c).__name__ in ("PolyCollection", "FillBetweenPolyCollection")
                ]
            )
            == bands
        )
    crowded = crowd(6)
    ((panel,),) = [figure.panels for figure in severity_figures(crowded, GLYPHS, styles_of(crowded))]
    ax = MplFigure().add_subplot()
    panel.draw(ax)
    assert {type(c).__name__ for c in ax.collections} == {"LineCollection"}, (
        "six bands would hide one another"
    )


def test_names_at_line_ends_do_not_overlap():
    styles, ax = styles_of(crowd(5)), MplFigure().add_subplot()
    ax.set_ylim(0, 100)
    end_labels(ax, dict(zip(styles, (50, 50.1, 50.2, 99, 1), strict=True)), 5, styles, 110.0)
    heights = sorted(text.xy[1] for text in ax.texts)
    assert np.diff(heights).min() > 7.5 and heights[0] >= 0 and heights[-1] <= 100


def test_the_note_of_a_study_stands_above_every_number():
    quick = load_study(ROOT / "config" / "quick.yaml")
    assert "far smaller than in the papers" in quick.settings.note
    given = {"statuses": {}, "sections": [], "body": "NUMBERS", "css": "", "definitions": "", "script": ""}
    head, found, _ = (
        templates(SharedParts(), {})
        .get_template("page.html.j2")
        .render(study=quick, **given)
        .partition("NUMBERS")
    )
    assert found and 'class="note budget"' in head and "far smaller than in the papers" in head


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_chosen_names_are_gathered_in_one_panel_per_shift(tmp_path):
    rows, shared = crowd(10), SharedParts()
    (figure,) = severity_figures(rows, GLYPHS, styles_of(rows))
    template = '{% import "parts.html.j2" as parts %}{{ parts.figure_block(figure) }}'
    counts = {"seeds": "3 seeds", "shift_episodes": "30 episodes"}
    block = templates(shared, counts).from_string(template).render(figure=figure)
    css, script = ((TEMPLATES / name).read_text() for name in ("style.css", "page.js"))
    file = tmp_path / "figure.html"
    file.write_text(
        f"<!doctype html><style>{css}{shared.rules()}</style>{shared.definitions()}{block}<script>{script}</script>"
    )
    shown = "[...document.querySelectorAll('.panel')].filter(p => p.offsetHeight > 9)"
    titles = f"{shown}.map(p => p.querySelector('.panel-title').textContent)"
    front = f"[...new Set([...{shown}[0].querySelectorAll('.front')].map(s => s.dataset.algorithm))].sort()"
    click = "['a0', 'a9'].forEach(a => document.querySelector(`button[data-algorithm=${a}]`).click())"
    with Browser() as browser:
        browser.open(file)
        before = browser.eval(titles)
        assert before == ["Shear, metric-based", "Shear, optimization-based"]
        browser.eval(click)
        assert browser.eval(titles) == ["Shear"] and browser.eval(front) == ["a0", "a9"]
        place = "{const b = document.querySelector('.guest').getBoundingClientRect(); b.width > 20}"
        assert browser.eval(place), "the curve of the other panel is drawn"
        browser.eval(click)
        assert browser.eval(titles) == before and not browser.eval("document.querySelector('.guest')")
        assert browser.errors == []
