"""What runs.csv says of a run beyond its record."""

import pandas as pd

from bench.results.run_folder import read_run
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study


def test_a_share_of_the_published_tasks_is_told_only_where_the_file_of_today_states_them(
    tmp_path, monkeypatch
):
    """ProtoNet's length on Omniglot is ours; a record of an earlier version may call it published."""
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path, datasets={"omniglot": {"ways": [5], "shots": [1]}}, seeds=[0], shift_episodes=20
    )
    study = load_study(path)
    runs = pd.read_csv(summarize(study) / "runs.csv").set_index("algorithm")
    (recorded,) = [
        read_run(run.folder).run["training"] for run in study.runs() if run.algorithm == "protonet"
    ]
    assert recorded["budget_share"] == runs.loc["maml", "budget_share"] == 0.005
    assert pd.isna(runs.loc["protonet", "budget_share"])
