"""Figures of shifts in the report: exact strengths beside published readings, degradation, many curves by family."""

import csv
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure as MplFigure

from bench.report.sections import severities
from bench.report.sections.severities import severity_figures
from bench.report.style import CROWD, INK, styles_of
from bench.report.svg import SharedParts
from bench.results.setting import Setting
from tests.report_page import Outline, build
from tests.test_robustness import ALGORITHMS, EXACT, STUDY

GLYPHS = Setting("glyphs", 5, 1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return build(tmp_path_factory.mktemp("page"), strengths=EXACT, **STUDY)


def alt(page, start: str) -> str:
    (found,) = re.findall(f'aria-label="({re.escape(start)}[^"]*)"', page.read_text())
    return found


def test_the_figure_of_exact_strengths_has_words_and_the_readings_beside_the_same_setting_and_scope(page):
    assert not Outline(page).nameless
    task, query = (
        alt(page, f"Omniglot 5-way 1-shot, Scale, {scope}:")
        for scope in ("whole task shifted", "only queries shifted")
    )
    for words in ("MAML", "at 1/3", "at 1,", "Finn and Levine: 76.0 at 1/3, 99.0 at 1, 83.5 at 2"):
        assert words in task
    assert "below 70.0 at 1/3, 98.2 at 1, 75.0 at 2" in task
    assert "Finn" not in query and "at 1/3" in query
    assert "−45°" in alt(page, "Omniglot 5-way 1-shot, Shear, whole task shifted:")
    for scope in ("task", "query"):
        assert (page.parent / f"figures/strengths-omniglot-5way-1shot-{scope}.svg").exists()


def test_a_study_of_exact_strengths_only_has_a_page_and_readings_stand_beside_no_other_setting(tmp_path):
    setting = {"omniglot": {"ways": [5], "shots": [5]}}
    study = STUDY | {"datasets": setting, "algorithms": ("maml", "snail"), "shifts": {}}
    page = build(tmp_path, strengths={"scale": (2.0,)}, **study)
    assert "MAML" in alt(page, "Omniglot 5-way 5-shot, Scale, whole task shifted:")
    assert "Finn and Levine:" not in page.read_text()
    assert not (page.parent / "figures/degradation.svg").exists()


def test_degradation_has_a_figure_and_a_table(page):
    said = alt(page, "Mean accuracy over the severities, Omniglot 5-way 1-shot, whole task:")
    table = pd.read_csv(page.parents[2] / "results/synthetic/tables/degradation.csv")
    rows = table.query("scope == 'task' and shift == 'all'").set_index("algorithm")
    for name in ("maml", "metric-based"):
        row = rows.loc[name]
        low, high = 100 * row["area_low"], 100 * row["area_high"]
        assert f"{row['title']} {100 * row['area']:.1f} ({low:.1f} to {high:.1f})" in said
    with (page.parent / "tables" / "degradation-omniglot-5way-1shot.csv").open() as file:
        shown = {(row["Algorithm"], row["Shifted"]): row for row in csv.DictReader(file)}
    assert len(shown) == 2 * (len(ALGORITHMS) + 3)
    maml = shown["MAML", "whole task"]
    assert float(maml["Mean over the shifts: Slope"]) == pytest.approx(
        100 * rows.loc["maml", "slope"], abs=0.051
    )
    assert set(maml) >= {"Area: Smear", "Area: Shear"} and "Area: Scale" not in maml
    assert (page.parent / "figures/degradation.pdf").exists()
    assert 'id="table-degradation-omniglot-5way-1shot"' in page.read_text()


def test_a_crowd_is_drawn_family_by_family_before_all_others():
    cells = crowd(CROWD + 1)
    styles = styles_of(cells)
    (figure,) = severity_figures(cells, GLYPHS, styles)
    assert [panel.title for panel in figure.panels] == ["Shear, metric-based", "Shear, optimization-based"]
    assert figure.columns == 2
    for panel, family in zip(figure.panels, ("metric-based", "optimization-based"), strict=True):
        mine = {a for a, style in styles.items() if style.family == family}
        markup = figure.markup(panel, SharedParts())
        assert set(re.findall(r'data-algorithm="([^"]+)"', markup)) == mine
        ax = MplFigure().add_subplot()
        panel.draw(ax)
        (behind,) = [line for line in ax.lines if line.get_lw() == 0.8 and line.get_color() == INK]
        assert pd.isna(behind.get_ydata()).sum() == len(styles) - len(mine)  # a gap after each


def test_a_few_are_drawn_together():
    cells = crowd(CROWD)
    (figure,) = severity_figures(cells, GLYPHS, styles_of(cells))
    assert [panel.title for panel in figure.panels] == ["Shear"]


def crowd(count: int) -> pd.DataFrame:
    """Curves of so many algorithms of two families, at severity 0 and 3."""
    rows = []
    for i in range(count):
        one = {"algorithm": f"a{i}", "title": f"A{i}", "mean": 0.9 - i / 100, "low": 0.5, "high": 1.0}
        one |= {"family": "metric-based" if i < 4 else "optimization-based", "chance": 0.2, "reported": True}
        one |= {"dataset": "glyphs", "way": 5, "shot": 1, "test_way": 5, "test_shot": 1, "test_steps": -1}
        one |= {"test_tasks": "standard", "metric": "accuracy", "value": 0.0, "n_seeds": 3}
        rows += [one | {"shift": "shear", "severity": 0, "scope": "task"}]
        rows += [one | {"shift": "shear", "severity": 3, "scope": "task"}]
    return pd.DataFrame(rows)


def test_learners_that_were_not_tested_under_a_shift_have_no_panel_of_it():
    known = {"title": "A", "metric": "accuracy", "mean": 0.9, "low": 0.8, "high": 1.0}
    rows = pd.DataFrame([known | {"algorithm": "a", "severity": severity} for severity in (0, 5)])
    groups = [("", {"a": None}), (", others", {"b": None})]
    panels = severities._panels(Setting("omniglot", 5, 1), "task", "rotate", rows, groups, (0, 100))
    assert [panel.title for panel in panels] == ["Rotation"] and "A from 90.0 to 90.0" in panels[0].alt
