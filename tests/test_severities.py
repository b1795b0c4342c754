"""Severities: the clean task and the shifted ones are scored on the same episodes."""

import numpy as np
import pandas as pd
import pytest

from bench.results.run_folder import read_run
from bench.statistics import intervals
from bench.statistics.severities import SEVERITY_COLUMNS
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study


def test_severity_0_is_the_mean_of_the_episodes_that_are_shifted_later(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path,
        algorithms=("protonet", "maml"),
        datasets={"glyphs": {"ways": [5], "shots": [1]}},
        shifts={"smear": (1, 5)},
        strengths={"scale": (2.0,)},
        episodes=150,
        shift_episodes=30,
    )
    table = pd.read_csv(summarize(load_study(path)) / "severities.csv")
    assert list(table) == SEVERITY_COLUMNS and set(table["shift"]) == {"none", "smear"}
    assert set(table["n_episodes"]) == {30}
    rows = table.query("algorithm == 'maml' and scope == 'query'").set_index("severity")
    values = {0: [], 1: [], 5: []}
    for seed in (0, 1):
        frame = read_run(tmp_path / f"results/synthetic/glyphs/5way_1shot/maml/seed{seed}").episodes()
        frame = frame.query("mode == 'transductive'").astype({"accuracy": float})
        values[0].append(frame.query("shift == 'none'")["accuracy"].to_numpy())
        for severity in (1, 5):
            part = frame.query("shift == 'smear' and scope == 'query' and severity == @severity")
            values[severity].append(part["accuracy"].to_numpy())
    clean = np.stack(values[0])
    assert clean[:, :30].mean() != pytest.approx(clean.mean(), abs=1e-4), (
        "the first episodes are not the average"
    )
    (shared,) = table.query("algorithm == 'maml' and scope == 'clean'")["mean"]
    assert shared == pytest.approx(clean[:, :30].mean(), abs=1e-5)
    for severity in (0, 1, 5):
        scored = np.stack(values[severity])[:, :30]
        assert rows.loc[severity, "mean"] == pytest.approx(scored.mean(), abs=1e-5)
        change = intervals.two_level_interval(scored - clean[:, :30])
        found = tuple(rows.loc[severity, ["change", "change_low", "change_high"]])
        assert found == pytest.approx((change.mean, change.low, change.high), abs=1e-5)
    assert tuple(rows.loc[0, ["change", "change_low", "change_high"]]) == (0, 0, 0)
