"""Diverged episodes of a regression are counted and named, and do not decide its mean."""

import csv

import pandas as pd
import pytest

from bench.report.reference_table import full_tables, headline
from bench.report.sections import regression, result
from bench.report.summary import read_summary
from bench.report.table_files import save
from bench.results.frames import write_episodes
from bench.results.run_folder import read_run
from bench.statistics.claims import write_claims
from bench.statistics.diverged import LIMITS
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tasks.generated import FUNCTIONS
from tests.synthetic import make_study


def test_limits_are_those_at_which_errors_are_cut():
    assert {name: cls.LARGEST_MSE for name, cls in FUNCTIONS.items()} == LIMITS


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """A study of sinusoids in which MAML's second seed diverges on one task of fifty."""
    root = tmp_path_factory.mktemp("diverged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        sinusoid = {"sinusoid": {"shots": [5]}}
        path = make_study(root, algorithms=("maml", "fomaml"), datasets=sinusoid, shifts={}, episodes=50)
        folder = root / "results/synthetic/sinusoid/1way_5shot/maml/seed1"
        frame = read_run(folder).episodes()
        frame.loc[frame["episode"].eq(7), "mse"] = LIMITS["sinusoid"]
        write_episodes(folder / "episodes.parquet", frame, "regression")
        study = load_study(path)
        summarize(study)
        write_claims(study)
        yield read_summary(study)


def test_the_mean_is_that_of_the_other_episodes_and_the_count_stands_beside_it(summary):
    cells = summary.cells.set_index("algorithm")
    row = cells.loc["maml"]
    seeds = [read_run(summary.folder / f"sinusoid/1way_5shot/maml/seed{seed}").episodes() for seed in (0, 1)]
    kept = pd.concat(seeds).query("episode != 7")["mse"].astype(float)
    assert row["mean"] == pytest.approx(kept.mean(), rel=1e-5) and row["high"] < 1
    assert tuple(row[["n_diverged", "n_tested", "n_seeds", "n_episodes"]]) == (1, 100, 2, 49)
    assert tuple(cells.loc["fomaml", ["n_diverged", "n_episodes"]]) == (0, 50)


def test_a_comparison_leaves_out_what_diverged_for_either(summary):
    row = summary.comparisons.iloc[0]
    assert (row["algorithm_a"], row["algorithm_b"], row["n_episodes"]) == ("maml", "fomaml", 49)
    assert abs(row["difference"]) < 1, "one task at the limit of 100 would make it 1"


def test_the_report_names_it(summary, tmp_path):
    (table,) = regression.tables(summary)
    save(table, tmp_path)
    rows = {row["Algorithm"]: row for row in csv.DictReader((tmp_path / "regression.csv").open())}
    assert (rows["MAML"]["Diverged"], rows["MAML"]["Diverged, note"]) == ("1", "of 100 tasks")
    assert rows["First-order MAML"]["Diverged"] == "0"
    ((_, text), *_) = result.facts(summary)["findings"]
    assert "without 1 of 100 tasks, on which it diverged" in text
    (table,) = full_tables(headline([summary]))
    shown = {row.cells[0].text: row.cells[2].text for row in table.rows}
    assert shown["MAML"].endswith("(without 1 of 100 tasks, on which it diverged)")
    assert "diverged" not in shown["First-order MAML"]
