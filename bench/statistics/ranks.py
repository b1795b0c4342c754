"""Ranks over blocks: Friedman's test and Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Ranks:
    """Average ranks over blocks (1 = best), Friedman's p and Nemenyi's critical difference (NaN without a test)."""

    average: pd.Series
    blocks: int
    friedman_p: float
    critical_difference: float


def ranks(
    table: pd.DataFrame, higher_is_better: bool = True, alpha: float = 0.05, test: bool = True
) -> Ranks:
    """Rank the algorithms (columns) within each block (row) and compare them (Demsar 2006, JMLR 7, section 3.2).

    Two algorithms differ when their average ranks differ by the critical difference
    q_alpha sqrt(k (k + 1) / (6 N)), q_alpha = studentized range with k groups and infinite freedom over sqrt(2).
    The test needs independent blocks: without `test`, and with fewer than three algorithms or two blocks, there are ranks
    only, and the tests are NaN. Raises ValueError on a hole in the table.
    """
    from scipy import stats  # takes half a second to import; most verbs need no ranks

    if table.isna().to_numpy().any():
        raise ValueError("ranks need a value for every algorithm in every block")
    scores = -table.to_numpy(float) if higher_is_better else table.to_numpy(float)
    average = pd.Series(stats.rankdata(scores, axis=1).mean(0), index=table.columns, name="average_rank")
    blocks, count = table.shape
    if not test or count < 3 or blocks < 2:
        return Ranks(average, blocks, np.nan, np.nan)
    tied = (scores == scores[:, :1]).all()
    friedman_p = 1.0 if tied else float(stats.friedmanchisquare(*scores.T).pvalue)
    q_alpha = stats.studentized_range.ppf(1 - alpha, count, np.inf) / np.sqrt(2)
    difference = float(q_alpha * np.sqrt(count * (count + 1) / (6 * blocks)))
    return Ranks(average, blocks, friedman_p, difference)
