"""Rows of modes.csv: the same models on the same episodes in transductive and in inductive mode."""

from bench.results.condition import MODES, own_condition
from bench.results.metrics import clipped
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics import intervals
from bench.statistics.gather import LearnerResults
from bench.statistics.multiplicity import holm
from bench.statistics.priors import Priors
from bench.statistics.seed_variance import seed_prior

MODE_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "paper"],
    *[f"{mode}{end}" for mode in MODES for end in ("", "_low", "_high")],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]


def mode_rows(setting: Setting, learners: list[LearnerResults], priors: Priors) -> list[dict]:
    """Return a row per learner tested in both modes: transductive minus inductive, in distribution; Holm over the rows.

    The same models answer the same episodes in both modes, so the difference is paired by seed, too. The modes' own
    intervals are those of cells.csv. How a difference varies over seeds is told by all learners, as in separation.csv.
    """
    conditions, rows = [own_condition(setting, mode) for mode in MODES], []
    prior = priors.get(conditions[0].any_mode())
    both = [one for one in learners if all(condition in one.values for condition in conditions)]
    found = [(one, tables) for one in both if len((tables := one.together(conditions))[0])]
    of_difference = seed_prior([transductive - inductive for _, (inductive, transductive) in found])
    for one, (inductive, transductive) in found:
        difference = intervals.two_level_interval(transductive - inductive, prior=of_difference)
        own = [intervals.two_level_interval(table, prior=prior) for table in (inductive, transductive)]
        row = setting._asdict() | {"algorithm": one.algorithm}
        row |= {key: one.record[key] for key in ("title", "family")} | {"paper": one.record["paper_mode"]}
        for mode, interval in zip(MODES, own, strict=True):
            low, high = clipped(one.metric, interval.low, interval.high)
            row |= {mode: interval.mean, f"{mode}_low": low, f"{mode}_high": high}
        row |= {"difference": difference.mean, "low": difference.low, "high": difference.high}
        seeds, episodes = inductive.shape
        rows.append(row | {"p": float(difference.p), "n_seeds": seeds, "n_episodes": episodes})
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return rows
