"""Average ranks of the learners of a study."""

import numpy as np
import pandas as pd

from bench.results.condition import as_trained
from bench.results.metrics import main_metrics
from bench.statistics import ranks
from bench.statistics.gather import SETTING_COLUMNS, SHARED_COLUMNS

RANK_COLUMNS = [
    "dataset",
    "conditions",
    "algorithm",
    "average_rank",
    "n_blocks",
    "friedman_p",
    "critical_difference",
]


def ranks_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Average ranks in paper mode; a block is a task of a data set (clean) or a task under one shift (shifted).

    Exact strengths, whose severity is 0, would count a shift more than once and are left out.
    Algorithms without a value in every block are left out: a rank among fewer is not comparable.
    """
    ranked_by = cells["metric"].isin(main_metrics())
    graded = cells["shift"].eq("none") | cells["severity"].gt(0)
    paper = cells[cells["paper_mode"].astype(bool) & as_trained(cells) & ranked_by & graded]
    paper = paper.assign(score=np.where(paper["metric"] == "accuracy", paper["mean"], -paper["mean"]))
    names = sorted(paper["dataset"].unique())
    rows = []
    for dataset in [*names, *(["all"] if len(names) > 1 else [])]:
        chosen = paper if dataset == "all" else paper[paper["dataset"] == dataset]
        for conditions, part in chosen.groupby(
            np.where(chosen["shift"] == "none", "clean", "shifted"), sort=True
        ):
            blocks = part.pivot(
                index=[*SETTING_COLUMNS, *SHARED_COLUMNS], columns="algorithm", values="score"
            )
            blocks = blocks.dropna(axis=1)
            if blocks.shape[1] < 2:
                continue
            ranked = ranks.ranks(blocks)
            for algorithm, rank in sorted(ranked.average.items(), key=lambda item: (item[1], item[0])):
                tests = (ranked.blocks, ranked.friedman_p, ranked.critical_difference)
                rows.append(
                    dict(zip(RANK_COLUMNS, (dataset, conditions, algorithm, rank, *tests), strict=True))
                )
    return pd.DataFrame(rows, columns=RANK_COLUMNS)
