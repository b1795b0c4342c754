"""Out of distribution: exact strengths stay out of every average, degradation is what plain numpy says, and both are shown."""

import csv
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as MplFigure

from bench.report import curves, style
from bench.report.figures import hardest, own_task
from bench.report.report import read_summary
from bench.report.style import CROWD
from bench.report.svg import INK
from bench.results.run_folder import read_run
from bench.statistics import intervals
from bench.statistics.claims import judge_study, write_claims
from bench.statistics.degradation import DEGRADATION_COLUMNS
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.report_page import Outline, build
from tests.synthetic import make_study

ALGORITHMS = ("pixel_nn", "protonet", "matching", "maml", "snail", "metanet")
SETTING = {"omniglot": {"ways": [5], "shots": [1]}}
SEVERITIES = {"smear": (1, 3, 4), "shear": (1, 2), "scale": ()}
EXACT = {"shear": (-0.7854, 0.3927), "scale": (0.3333, 2.0)}
STUDY = {"algorithms": ALGORITHMS, "datasets": SETTING, "shifts": SEVERITIES, "seeds": (0, 1, 2)}
TABLES = ("cells", "comparisons", "degradation", "ranks", "claims")
SHIFTED = {
    "id": "any-severity",
    "claim": "A.",
    "source": "B",
    "metric": "accuracy",
    "predicts": "greater",
    "margin": 0.0,
    "change": False,
    "left": {"algorithms": ["maml"], "at": {"shift": ["shear"]}},
    "right": {"algorithms": ["snail"], "at": {"shift": ["shear"]}},
    "figure": "shifts",
}


def tables_of(root, strengths: dict) -> dict[str, pd.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        study = load_study(make_study(root, strengths=strengths, **STUDY))
        folder = summarize(study)
        write_claims(study)
        return {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES} | {
            "summary": read_summary(folder, list(SETTING)),
            "shear": judge_study(study, [SHIFTED]),
        }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("exact")


@pytest.fixture(scope="module")
def exact(root) -> dict[str, pd.DataFrame]:
    return tables_of(root, EXACT)


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict[str, pd.DataFrame]:
    return tables_of(tmp_path_factory.mktemp("graded"), {})


# --- exact strengths ---------------------------------------------------------------------------------------------


def test_exact_strengths_are_cells_and_comparisons_of_their_own(exact):
    rows = exact["cells"].query("severity == 0 and shift != 'none' and algorithm == 'maml' and paper_mode")
    found = {(row.shift, row.value, row.scope) for row in rows.itertuples()}
    assert found == {
        (s, v, scope) for s, values in EXACT.items() for v in values for scope in ("task", "query")
    }
    pairs = exact["comparisons"].query(
        "severity == 0 and shift == 'scale' and value == 2 and scope == 'task'"
    )
    assert len(pairs) == len(ALGORITHMS) * (len(ALGORITHMS) - 1) / 2


@pytest.mark.parametrize("name", [*TABLES, "shear"])
def test_nothing_else_changes_when_exact_strengths_are_added(exact, graded, name):
    """Averages over severities, ranks, verdicts and degradation do not count them."""
    table = exact[name]
    if name in ("cells", "comparisons"):
        table = table[table["shift"].eq("none") | table["severity"].ne(0)].reset_index(drop=True)
    assert len(table)
    pd.testing.assert_frame_equal(table, graded[name])


def test_the_hardest_shifts_are_not_exact_strengths(exact, graded):
    """Scale has exact strengths only, so it has no hardest severity."""
    worst, before = (hardest(own_task(tables["summary"].cells), "task") for tables in (exact, graded))
    assert len(worst) == len(ALGORITHMS)
    pd.testing.assert_series_equal(worst, before)


# --- degradation -------------------------------------------------------------------------------------------------


def curve_of(root, algorithm: str, mode: str, shift: str, scope: str) -> np.ndarray:
    """Accuracies [severities, seeds, episodes], the clean task first, straight from the episode files."""
    seeds = []
    for seed in STUDY["seeds"]:
        frame = read_run(root / f"results/synthetic/omniglot/5way_1shot/{algorithm}/seed{seed}").episodes()
        frame = frame[frame["mode"].eq(mode)]
        clean = frame[frame["shift"].eq("none")]["accuracy"].to_numpy(float)
        part = frame[frame["shift"].eq(shift) & frame["scope"].eq(scope)]
        levels = [part[part["severity"].eq(s)]["accuracy"].to_numpy(float) for s in SEVERITIES[shift]]
        seeds.append([clean[:100], *levels])
    return np.array(seeds).transpose(1, 0, 2)


def by_hand(root, algorithm: str, mode: str, scope: str) -> dict[str, np.ndarray]:
    """Area and slope [2, seeds, episodes] by shift, one fit per episode, and their mean."""
    found = {}
    for shift in ("smear", "shear"):
        severities, curve = [0, *SEVERITIES[shift]], curve_of(root, algorithm, mode, shift, scope)
        area = np.trapezoid(curve, severities, axis=0) / severities[-1]
        slope = np.polyfit(severities, curve.reshape(len(severities), -1), 1)[0].reshape(area.shape)
        found[shift] = np.stack([area, slope])
    return found | {"all": (found["smear"] + found["shear"]) / 2}


def check(row: pd.Series, table: np.ndarray) -> None:
    interval = intervals.two_level_interval(table)
    for i, name in enumerate(("area", "slope")):
        printed = row[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        assert printed[0] == pytest.approx(table[i].mean(), abs=2e-6)
        np.testing.assert_allclose(printed, [interval.mean[i], interval.low[i], interval.high[i]], atol=2e-5)
    assert (row["n_seeds"], row["n_episodes"]) == (3, 100)


@pytest.mark.parametrize(("algorithm", "mode"), [("protonet", "inductive"), ("maml", "transductive")])
@pytest.mark.parametrize("scope", ["task", "query"])
def test_degradation_is_the_mean_of_what_each_episode_gives(root, exact, algorithm, mode, scope):
    rows = exact["degradation"].query("algorithm == @algorithm and scope == @scope").set_index("shift")
    assert set(rows.index) == {"smear", "shear", "all"} and set(rows["mode"]) == {mode}
    assert rows["highest"].to_dict() == {"smear": 4, "shear": 2, "all": 4}
    for shift, table in by_hand(root, algorithm, mode, scope).items():
        check(rows.loc[shift], table)


def test_a_family_is_the_mean_of_its_learners_seed_by_seed(root, exact):
    table = exact["degradation"]
    assert list(table) == DEGRADATION_COLUMNS
    metric = table.query("algorithm == 'metric-based' and scope == 'task'").set_index("shift")
    members = [by_hand(root, name, "inductive", "task") for name in ("protonet", "matching")]
    for shift, row in metric.iterrows():
        check(row, np.mean([found[shift] for found in members], axis=0))
    means = table[table["algorithm"].eq(table["family"])].query("scope == 'task' and shift == 'all'")
    assert means.set_index("algorithm")["n_algorithms"].to_dict() == {
        "model-based": 2,
        "optimization-based": 1,
        "metric-based": 2,
    }


def test_seeds_that_not_all_have_are_left_out_of_a_family(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path,
        **STUDY | {"algorithms": ("protonet", "matching"), "shifts": {"smear": (1, 5)}},
        diverged=["omniglot/5way_1shot/matching/seed0"],
    )
    table = pd.read_csv(summarize(load_study(path)) / "degradation.csv").query(
        "scope == 'task' and shift == 'all'"
    )
    assert table.set_index("algorithm")["n_seeds"].to_dict() == {
        "protonet": 3,
        "matching": 2,
        "metric-based": 2,
    }


def test_regression_has_no_degradation(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path, algorithms=("maml",), datasets={"sinusoid": {"shots": [5]}}, shifts={"phase": (1,)}
    )
    assert pd.read_csv(summarize(load_study(path)) / "degradation.csv").empty


# --- the report --------------------------------------------------------------------------------------------------


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
    assert maml["Mean over the shifts: Slope"].startswith(f"{100 * rows.loc['maml', 'slope']:.1f} ± ")
    assert set(maml) >= {"Area: Smear", "Area: Shear"} and "Area: Scale" not in maml
    assert (page.parent / "figures/degradation.pdf").exists()
    assert 'id="table-degradation-omniglot-5way-1shot"' in page.read_text()


def test_a_crowd_is_drawn_family_by_family_before_all_others():
    cells = crowd(CROWD + 1)
    looks = style.looks(cells)
    (figure,) = curves.shift_figures(cells, looks).values()
    assert [panel.title for panel in figure.panels] == ["Shear, metric-based", "Shear, optimization-based"]
    assert figure.columns == 2
    for panel, family in zip(figure.panels, ("metric-based", "optimization-based"), strict=True):
        mine = {a for a, look in looks.items() if look.family == family}
        markup = figure.markup(panel)
        assert set(re.findall(r'data-algorithm="([^"]+)"', markup)) == mine
        ax = MplFigure().add_subplot()
        panel.draw(ax)
        (behind,) = [line for line in ax.lines if line.get_lw() == 0.8 and line.get_color() == INK]
        assert pd.isna(behind.get_ydata()).sum() == len(looks) - len(mine)  # a gap after each


def test_a_few_are_drawn_together():
    cells = crowd(CROWD)
    (figure,) = curves.shift_figures(cells, style.looks(cells)).values()
    assert [panel.title for panel in figure.panels] == ["Shear"]


def crowd(count: int) -> pd.DataFrame:
    """Cells of so many algorithms of two families, clean and under one severity."""
    rows = []
    for i in range(count):
        one = {"algorithm": f"a{i}", "title": f"A{i}", "mean": 0.9 - i / 100, "low": 0.5, "high": 1.0}
        one |= {"family": "metric-based" if i < 4 else "optimization-based", "chance": 0.2, "reported": True}
        one |= {"dataset": "glyphs", "way": 5, "shot": 1, "test_way": 5, "test_shot": 1, "test_steps": -1}
        one |= {"test_tasks": "standard", "metric": "accuracy", "value": 0.0}
        rows += [one | {"shift": "none", "severity": 0, "scope": "clean"}]
        rows += [one | {"shift": "shear", "severity": 3, "scope": "task"}]
    return pd.DataFrame(rows)
