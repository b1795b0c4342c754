"""Transductive against inductive: the same models on the same episodes in both modes."""

from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, Setting, Tested, _same_shape, own_condition
from bench.statistics.multiplicity import holm

MODES = ("inductive", "transductive")
MODE_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "paper"],
    *[f"{mode}{end}" for mode in MODES for end in ("", "_low", "_high")],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]


def mode_rows(setting: Setting, tested: list[Tested]) -> list[dict]:
    """Each algorithm that was tested in both modes: transductive minus inductive, in distribution; Holm over the rows.

    The same models answer the same episodes in both modes, so the difference is paired by seed, too.
    """
    conditions, rows = [own_condition(setting, mode) for mode in MODES], []
    for one in tested:
        tables = [one.values[condition] for condition in conditions if condition in one.values]
        if len(tables) < 2 or not _same_shape(tables):
            continue
        inductive, transductive = tables
        difference, *own = (
            intervals.two_level_interval(table)
            for table in (transductive - inductive, inductive, transductive)
        )
        row = dict(zip(SETTING_COLUMNS, setting, strict=True)) | {"algorithm": one.algorithm}
        row |= {key: one.record[key] for key in ("title", "family")} | {"paper": one.record["paper_mode"]}
        for mode, interval in zip(MODES, own, strict=True):
            ends = {f"{mode}_low": max(interval.low, 0.0), f"{mode}_high": min(interval.high, 1.0)}
            row |= {mode: interval.mean} | ends
        row |= {"difference": difference.mean, "low": difference.low, "high": difference.high}
        seeds, episodes = inductive.shape
        rows.append(row | {"p": float(difference.p), "n_seeds": seeds, "n_episodes": episodes})
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return rows
