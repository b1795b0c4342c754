"""Ranks: a published example and scikit-posthocs."""

import numpy as np
import pandas as pd
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman

from bench.statistics import ranks
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study


def test_ranks_by_hand_and_the_published_critical_difference():
    table = pd.DataFrame([[0.9, 0.8, 0.8, 0.1]] * 7 + [[0.9, 0.8, 0.7, 0.6]] * 7, columns=list("abcd"))
    result = ranks.ranks(table)
    assert result.average.to_dict() == {"a": 1.0, "b": 2.25, "c": 2.75, "d": 4.0}
    assert result.blocks == 14 and result.friedman_p < 1e-6
    assert result.critical_difference == pytest.approx(
        1.25, abs=0.005
    )  # k = 4, N = 14: Demsar 2006, section 3.2.2
    gap = np.abs(np.subtract.outer(result.average.to_numpy(), result.average.to_numpy()))
    pairwise_p = posthoc_nemenyi_friedman(-table.to_numpy())
    np.testing.assert_array_equal(pairwise_p < 0.05, gap > result.critical_difference)


def test_ranks_of_errors_of_few_blocks_and_of_holes():
    table = pd.DataFrame({"a": [1.0, 1.0], "b": [2.0, 3.0]})
    assert ranks.ranks(table, higher_is_better=False).average.to_list() == [1, 2]
    assert ranks.ranks(table).average.to_list() == [2, 1]
    assert np.isnan(ranks.ranks(table).friedman_p)
    level = pd.DataFrame(np.ones((3, 3)), columns=list("abc"))
    assert ranks.ranks(level).friedman_p == 1
    with pytest.raises(ValueError, match="every block"):
        ranks.ranks(table.where(table < 3))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Tables of a study of two settings under one shift."""
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    folder = summarize(load_study(make_study(tmp_path, shifts={"smear": (1, 5)})))
    return {name: pd.read_csv(folder / name) for name in ("cells.csv", "ranks.csv")}


def test_ranks_follow_the_cells(made):
    cells, table_of_ranks = made["cells.csv"], made["ranks.csv"]
    clean = table_of_ranks[table_of_ranks["conditions"] == "clean"].set_index("algorithm")["average_rank"]
    paper = cells[cells["paper_mode"] & (cells["shift"] == "none")]
    table = paper.pivot(index="shot", columns="algorithm", values="mean")
    expected = table.rank(axis=1, ascending=False).mean()
    np.testing.assert_allclose(clean[expected.index], expected)
    shifted = table_of_ranks[table_of_ranks["conditions"] == "shifted"]
    assert (shifted["n_blocks"] == 2).all(), (
        "two settings under one shift: its severities and scopes are averaged"
    )
    assert shifted[["friedman_p", "critical_difference"]].isna().all(axis=None), (
        "blocks of the same models: no test"
    )
    smeared = cells[cells["paper_mode"] & (cells["shift"] == "smear")]
    table = smeared.groupby(["shot", "algorithm"])["mean"].mean().unstack()
    expected = table.rank(axis=1, ascending=False).mean()
    np.testing.assert_allclose(shifted.set_index("algorithm")["average_rank"][expected.index], expected)
