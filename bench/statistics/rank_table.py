"""Rows of ranks.csv: average ranks of the learners of a study."""

import numpy as np
import pandas as pd

from bench.results.condition import SHARED_COLUMNS, as_trained, clean, exact
from bench.results.metrics import METRICS, main_metrics
from bench.results.setting import SETTING_COLUMNS
from bench.statistics import ranks

RANK_COLUMNS = [
    *["dataset", "conditions", "algorithm", "average_rank", "n_blocks", "friedman_p", "critical_difference"],
]


def ranks_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Rank the learners in their reported mode, by data set and over all data sets, clean and shifted (`RANK_COLUMNS`).

    A block is a setting (clean), or a setting under one shift, averaged over its severities and scopes (shifted). Shifted
    blocks of a setting come from the same models and images, so they have no test: it would count each model several
    times. Exact strengths are left out. Learners without a value under every condition are left out: a rank among fewer is
    not comparable.
    """
    rows, chosen = [], cells[_ranked(cells)]
    chosen = chosen.assign(score=chosen["mean"] * chosen["metric"].map(lambda name: METRICS[name].sign))
    names = sorted(chosen["dataset"].unique())
    for dataset in [*names, *(["all"] if len(names) > 1 else [])]:
        part = chosen if dataset == "all" else chosen[chosen["dataset"] == dataset]
        for conditions, group in part.groupby(np.where(clean(part), "clean", "shifted"), sort=True):
            rows += _rank_rows(dataset, conditions, group)
    return pd.DataFrame(rows, columns=RANK_COLUMNS)


def _ranked(cells: pd.DataFrame) -> pd.Series:
    """Rows that take part: reported mode, tasks as trained, main metric, no exact strength."""
    main = cells["metric"].isin(main_metrics())
    return cells["paper_mode"].astype(bool) & as_trained(cells) & main & ~exact(cells)


def _rank_rows(dataset: str, conditions: str, group: pd.DataFrame) -> list[dict]:
    blocks = group.pivot(index=[*SETTING_COLUMNS, *SHARED_COLUMNS], columns="algorithm", values="score")
    blocks = blocks.dropna(axis=1).groupby([*SETTING_COLUMNS, "shift"]).mean()
    if blocks.shape[1] < 2:
        return []
    ranked = ranks.ranks(blocks, test=conditions == "clean")
    shared = {"dataset": dataset, "conditions": conditions, "n_blocks": ranked.blocks}
    shared |= {"friedman_p": ranked.friedman_p, "critical_difference": ranked.critical_difference}
    best_first = sorted(ranked.average.items(), key=lambda item: (item[1], item[0]))
    return [shared | {"algorithm": name, "average_rank": rank} for name, rank in best_first]
