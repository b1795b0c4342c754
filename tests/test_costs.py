"""Tables and figures of what learning costs, on small frames and on synthetic studies."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import algos
from bench.report.figure import RC
from bench.report.sections import costs, learning, other_tasks
from bench.report.style import styles_of
from bench.report.summary import read_summary
from bench.report.svg import SharedParts
from bench.results.reference_list import FILE, listed_studies
from bench.results.reference_store import reference_results
from bench.results.run_folder import read_run
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.report_page import build
from tests.synthetic import make_study

ROOT = Path(__file__).parents[1]
SETTING = {"dataset": "glyphs", "way": 5, "shot": 1}


def curves(**by_run: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """History and runs of `algorithm_seed=[validation accuracies]`, 100 tasks and 10 seconds of the processor apart.

    The first validation came an hour late: the run had been stopped.
    """
    history, runs = [], []
    for name, values in by_run.items():
        key = SETTING | {"algorithm": name[:-2], "seed": int(name[-1])}
        runs.append(
            key | {"title": name[:-2].upper(), "family": "baseline", "status": "ok", "git_commit": "abc"}
        )
        runs[-1] |= {
            "device": "cpu",
            "steps": 25 * len(values),
            "cpu_seconds": 10.0 * len(values),
            "seconds": 4000.0,
        }
        history += [
            key | {"step": 25 * i, "tasks": 100 * i, "seconds": 3600 + 10.0 * i, "val_score": value}
            for i, value in enumerate(values, start=1)
        ]
    return pd.DataFrame(history), pd.DataFrame(runs)


def test_an_accuracy_is_reached_at_the_first_validation_that_shows_it():
    history, runs = curves(a_0=[0.5, 0.85, 0.7, 0.91], a_1=[0.6, 0.8, 0.95, 0.96], b_0=[0.2, 0.3])
    first, second = costs.reach_table(history, runs).rows
    assert [c.text for c in first.cells[1:]] == [
        "A",
        *["150", "15 s"],  # 60 %: at 200 and at 100 tasks
        *["200", "20 s"],  # 80 %: falling below it later does not matter
        *["350", "35 s"],
        *["300 (1 of 2)", "30 s (1 of 2)"],
    ]
    assert [c.text for c in second.cells[2:]] == ["not reached", "–"] * 4
    first, _ = costs.reach_table(history, runs.assign(device="cuda", seconds=runs["steps"])).rows
    assert [c.text for c in first.cells[3:6:2]] == ["38 s", "50 s"], "on a GPU, the time of the clock"


def test_runs_that_did_not_finish_reach_nothing():
    history, runs = curves(a_0=[0.99], a_1=[0.7])
    runs.loc[0, "status"] = "diverged"
    (row,) = costs.reach_table(history, runs).rows
    assert [c.text for c in row.cells[2:6]] == ["100", "10 s", "not reached", "–"]
    assert costs.reach_table(history, runs.assign(status="diverged")).rows == []
    assert costs.reach_table(history, runs.assign(dataset="sinusoid")).rows == [], "errors are no accuracies"


def points(metric: str, **learners: tuple[float, float]) -> pd.DataFrame:
    rows = [{"algorithm": a, "mean": m, "cost": c, "metric": metric} for a, (c, m) in learners.items()]
    return pd.DataFrame(rows).assign(yardstick=lambda rows: rows["algorithm"].isin(["gp", "pixel_nn"]))


@pytest.mark.parametrize("metric", ["accuracy", "mse"])
def test_the_front_is_what_no_other_learner_beats(metric):
    sign = 1 if metric == "accuracy" else -1
    table = points(
        metric,
        dear=(9, sign * 0.9),
        cheap=(1, sign * 0.5),
        same_cost_worse=(1, sign * 0.4),
        same_mean_dearer=(10, sign * 0.9),
        middle=(3, sign * 0.7),
        beaten=(4, sign * 0.6),
        pixel_nn=(0, sign * 0.1),
        gp=(0, sign * 1.0),
    )
    found = costs.front(table, "cost")["algorithm"].tolist()
    assert found == ["pixel_nn", "cheap", "middle", "dear"]
    # by definition: nobody else (who competes) is at least as good in both and better in one
    for name in table.loc[table["algorithm"].ne("gp"), "algorithm"]:
        me, others = table[table["algorithm"].eq(name)].iloc[0], table[~table["algorithm"].isin([name, "gp"])]
        good, cheap = sign * others["mean"], others["cost"]
        as_good = good.ge(sign * me["mean"]) & cheap.le(me["cost"])
        beaten = (as_good & (good.gt(sign * me["mean"]) | cheap.lt(me["cost"]))).any()
        assert beaten != (name in found)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("costs")
    return build(
        root,
        algorithms=("pixel_nn", "scratch", "protonet", "maml", "lstm"),
        datasets={"glyphs": {"ways": [5], "shots": [1]}, "sinusoid": {"shots": [5]}},
        shifts={},
        experiments={"steps": [0, 5, 100]},
    )


@pytest.fixture(scope="module")
def summary(page):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(page.parents[2] / "results"))
        return read_summary(load_study(page.parents[2] / "config" / "synthetic.yaml"))


def test_accuracy_against_each_cost(summary):
    figures = costs.figures(summary)
    assert [f.name for f in figures] == ["pareto-glyphs-5way-1shot", "pareto-sinusoid-1way-5shot"]
    panels = figures[0].panels
    assert [p.title for p in panels] == [
        "against CPU seconds of training",
        "against ms to adapt to a task",
        "against GFLOP to adapt to a task",
    ]
    for panel in panels:
        best, beaten = panel.alt.split("Beaten by none: ")[1].split("Beaten at their cost or below: ")
        assert all((style.title in best) != (style.title in beaten) for style in summary.styles.values())
    assert "From scratch" in panels[0].alt.split("Beaten at")[0], "more than raw pixels, without training"
    assert "From scratch" in panels[2].alt.split("Beaten at")[1], "dearer than ProtoNet, and worse"


def test_on_a_gpu_training_is_timed_by_the_clock(summary):
    runs = summary.runs.assign(device="cuda", seconds=7.0, cpu_seconds=1e4)
    panel = costs.figures(replace(summary, runs=runs))[0].panels[0]
    assert panel.title == "against seconds of training" and " at 7" in panel.alt


def test_every_learner_is_drawn_once_with_its_interval(summary):
    figure = costs.figures(summary)[0]
    for panel in figure.panels:
        assert set(figure.styles) == set(summary.styles)
        drawn = ET.fromstring(figure.markup(panel, SharedParts()))
        series = {
            group.get("data-algorithm"): group for group in drawn.iter("g") if group.get("data-algorithm")
        }
        assert set(series) == set(summary.styles)
        for group in series.values():
            assert len(list(group.iter("path"))) == len(list(group.iter("use"))) == 1, "interval and mark"


def test_costs_are_in_the_page(page, summary):
    text = page.read_text()
    assert "figure-pareto-glyphs-5way-1shot" in text and "Training to an accuracy" in text
    table = pd.read_csv(page.parent / "tables" / "cost.csv")
    maml = table[table["Algorithm"].eq("MAML") & table["Setting"].str.startswith("Glyphs")].iloc[0]
    run = summary.runs.query("algorithm == 'maml' and dataset == 'glyphs'").iloc[0]
    assert float(maml["Training: GFLOP/task"]) == run["gflops_per_task"] > 0
    assert float(maml["Adaptation to a task: GFLOP"]) == run["adapt_gflops_per_task"] > 0
    memory = [maml[f"Peak memory, MB: {part}"] for part in ("Training", "of it since start", "Test")]
    assert [float(value) for value in memory] == [512, 512 - 300, 600]


def test_runs_from_before_these_costs_were_measured_are_still_read(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(tmp_path, algorithms=("protonet", "maml"), shifts={}, episodes=20)
    for file in tmp_path.rglob("*.json"):
        record = json.loads(file.read_text())
        for key in ("gflops_per_task", "memory_at_start_mb"):
            record.get("training", {}).pop(key, None)
        record.pop("adapt_gflops_per_task", None)
        file.write_text(json.dumps(record))
    runs = pd.read_csv(summarize(load_study(path)) / "runs.csv")
    assert runs["gflops_per_task"].isna().all() and runs["peak_memory_mb"].notna().all()
    shown = costs.cost_table(runs)
    headings = [column.label for column in shown.columns]
    unknown = {headings[i] for i, cell in enumerate(shown.rows[0].cells) if cell.text == "–"}
    assert unknown == {"GFLOP/task", "GFLOP", "of it since start", "Budget, %"}  # no paper trained on glyphs


def test_kept_results_are_read_and_are_the_files_that_were_written():
    """They were committed before some keys of their records were there."""
    folders = [path.parent for path in (ROOT / "results" / "reference").glob("*/*/*/*/seed*/run.json")]
    for folder in folders:
        read_run(folder).check()
    assert folders


def test_each_learner_looks_like_no_other_and_the_control_is_dashed(summary):
    found = [algos.load(name) for name in algos.discover()]
    rows = pd.DataFrame(
        {
            "algorithm": list(algos.discover()),
            "title": [a.title for a in found],
            "family": [a.family for a in found],
        }
    )
    every = styles_of(rows)
    assert len({(style.colour, style.marker) for style in every.values()}) == len(every)
    assert [name for name, style in every.items() if style.line != "-"] == ["scratch"]
    figure = next(f for f in other_tasks.figures(summary) if "glyphs" in f.name)
    panel = next(p for p in figure.panels if p.title == "Gradient steps at test")
    assert "From scratch" in panel.alt and "at 100" in panel.alt
    shared = SharedParts()
    groups = figure.markup(panel, shared).split('data-algorithm="')[1:]
    dashes = re.findall(r"\.(v\d+){[^}]*stroke-dasharray", shared.rules())
    dashed = [g for g in groups if any(re.search(rf'class="[^"]*\b{name}\b', g) for name in dashes)]
    assert {g.split('"')[0] for g in dashed} == {"scratch"}


def test_the_caption_names_whom_the_line_leaves_out(summary):
    def captions(summary):
        return {figure.title: figure.caption for figure in costs.figures(summary)}

    assert not any("told" in caption for caption in captions(summary).values())
    cells = summary.cells
    told = cells["yardstick"] | (cells["dataset"].eq("sinusoid") & cells["algorithm"].eq("maml"))
    for title, caption in captions(replace(summary, cells=cells.assign(yardstick=told))).items():
        assert ("as told where the tasks come from: MAML." in caption) == ("Sinusoid" in title)


def test_a_long_legend_stays_inside_the_figure(summary):
    figure = costs.figures(summary)[0]
    longest = replace(summary.styles["maml"], title="Matching Networks (FCE)")
    many = replace(figure, panels=figure.panels[:2], styles={f"a{i}": longest for i in range(24)})
    with mpl.rc_context(RC):
        canvas = many.together()
        FigureCanvasAgg(canvas).draw()
    box, width = canvas.legends[0].get_window_extent(), canvas.get_size_inches()[0] * canvas.dpi
    assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0
    assert box.y1 <= min(ax.get_tightbbox().y0 for ax in canvas.axes)


def test_learners_that_train_on_images_have_no_curve_against_tasks(monkeypatch):
    """Of the committed study: Baseline's 400,000 images would press all other curves against the axis."""
    monkeypatch.chdir(ROOT)
    study = next(study for study in listed_studies(Path(FILE)) if study.name == "omniglot_small")
    with reference_results():
        (figure,) = learning.figures(read_summary(study))
    seconds, tasks = (
        [panel for panel in figure.panels if word in panel.title] for word in ("seconds", "tasks")
    )
    assert len(seconds) == len(tasks) + 1 == 4
    assert any("Baseline" in panel.alt for panel in seconds) and not any(
        "Baseline" in panel.alt for panel in tasks
    )
    assert figure.caption.endswith(learning.SHARED)
