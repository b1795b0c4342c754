"""A regression study from training to the page: cells, tables and figures."""

import csv
import re

import pandas as pd
import pytest
import yaml

from bench.__main__ import main
from bench.report.page import build_report
from bench.results.run_folder import read_run
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a study of the Gaussian process and of a MAML of ten updates, through all stages."""
    root = tmp_path_factory.mktemp("regression")
    study = {
        "study": "waves",
        "datasets": {"sinusoid": {"shots": [5]}},
        "algorithms": ["gp", "maml"],
        "train": {"steps": 10, "validate_every": 10, "validation_episodes": 8, "device": "cpu"},
        "test": {"episodes": 20, "query": 5},
        "shifts": {"episodes": 10, "severities": {"amplitude": [1], "phase": [1]}},
        "experiments": {"episodes": 20, "steps": [1, 2, 10]},
    }
    path = root / "waves.yaml"
    path.write_text(yaml.safe_dump(study))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RESULTS", "REPORTS"):
            patch.setenv(f"{name}_ROOT", str(root / name.lower()))
        for algorithm in study["algorithms"]:
            for verb in ("train", "test"):
                assert main([verb, str(path), f"sinusoid/1way_5shot/{algorithm}/seed0"]) == 0
        summarize(load_study(path))
        write_claims(load_study(path))
        return build_report(load_study(path))


def test_a_regression_has_no_confidence(page):
    for algorithm in ("gp", "maml"):
        run = read_run(page.parents[2] / f"results/waves/sinusoid/1way_5shot/{algorithm}/seed0")
        assert run.tested and len(run.calibration()) == 0 and run.episodes()["ece"].isna().all()
    assert "No run of this study has recorded the confidence of its answers" in page.read_text()


def test_likelihood_and_coverage_are_cells_and_do_not_rank(page):
    tables = page.parents[2] / "results" / "waves" / "tables"
    cells = pd.read_csv(tables / "cells.csv")
    assert set(cells.query("algorithm == 'gp'")["metric"]) == {"mse", "nll", "coverage"}
    assert set(cells.query("algorithm == 'maml'")["metric"]) == {"mse"}
    clean = cells.query("algorithm == 'gp' and shift == 'none'").set_index("metric")["mean"]
    assert clean["nll"] < 0 and clean["coverage"] > 0.9
    ranks = pd.read_csv(tables / "ranks.csv").query("conditions == 'clean'")
    assert ranks["n_blocks"].tolist() == [1, 1] and ranks["algorithm"].iloc[0] == "gp"


def test_the_report_tells_steps_and_coverage(page):
    rows = list(csv.DictReader((page.parent / "tables" / "regression.csv").open()))
    assert [row["Algorithm"] for row in rows] == ["MAML", "Gaussian process"]
    maml, process = rows
    assert float(maml["Mean squared error: 1 step"]) > float(process["Mean squared error: in range"])
    assert maml["Share in the 95 % interval: in range"] == process["Mean squared error: 10 steps"] == ""
    assert float(process["Share in the 95 % interval: other phase"]) > 90


def test_the_report_draws_curves_and_names_no_reference_as_the_best(page):
    text = page.read_text()
    for shift in ("none", "amplitude", "phase"):
        assert f'id="figure-fits-sinusoid-1way-5shot-{shift}"' in text
        assert (page.parent / "figures" / f"fits-sinusoid-1way-5shot-{shift}.pdf").exists()
    assert 'id="figure-other-sinusoid-1way-5shot"' in text
    assert "Best: MAML" in text and "Best: Gaussian process" not in text
    assert re.search(r"Gaussian process: mean squared error [\d.]+ along the curve, 95 % band ± [\d.]+", text)


def test_captions_and_rows_are_those_of_errors(page):
    text = page.read_text()
    assert (
        "Filled marks: mean squared error on new tasks" in text and "Open marks: mean over the shifts" in text
    )
    assert "Crosses are the errors printed in the MAML paper" in text
    assert "The dotted line is chance" not in text and "share a supervised training" not in text
    rows = csv.DictReader((page.parent / "tables" / "headline.csv").open())
    assert "Chance" not in [row["Algorithm"] for row in rows]
