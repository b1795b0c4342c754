"""Cells, paired comparisons and ranks of the algorithms of a study, as rows of its tables."""

import itertools
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import results, stats
from bench.results import CONDITION_COLUMNS, STANDARD, ResultError, RunResult, as_trained

Setting = tuple[str, int, int]  # dataset, way, shot
SETTING_COLUMNS = ["dataset", "way", "shot"]
_MODE = CONDITION_COLUMNS.index("mode")
SHARED_COLUMNS = [column for column in CONDITION_COLUMNS if column != "mode"]
CELL_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "reference", "mode", "paper_mode", *SHARED_COLUMNS],
    *["metric", "mean", "low", "high", "episode_half_width", "n_seeds", "n_episodes", "chance"],
]
COMPARISON_COLUMNS = [
    *[*SETTING_COLUMNS, *SHARED_COLUMNS, "algorithm_a", "mode_a", "algorithm_b", "mode_b"],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]
MODES = ("inductive", "transductive")
MODE_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "paper"],
    *[f"{mode}{end}" for mode in MODES for end in ("", "_low", "_high")],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]
RANK_COLUMNS = [
    "dataset",
    "conditions",
    "algorithm",
    "average_rank",
    "n_blocks",
    "friedman_p",
    "critical_difference",
]


@dataclass(frozen=True)
class Tested:
    """The results of one algorithm in one setting: values[condition] is [seeds, episodes], seeds in their order."""

    algorithm: str
    record: dict
    metric: str
    values: dict[tuple, np.ndarray]

    @property
    def paper_mode(self) -> str:
        """The paper's mode, or the only one that was tested."""
        modes = {condition[_MODE] for condition in self.values}
        return self.record["paper_mode"] if self.record["paper_mode"] in modes else min(modes)

    def paper(self) -> tuple[str, dict[tuple, np.ndarray]]:
        """The paper's mode and its values by condition without the mode."""
        mode, at = self.paper_mode, _MODE
        return mode, {c[:at] + c[at + 1 :]: values for c, values in self.values.items() if c[at] == mode}


def gather(algorithm: str, found: list[RunResult], metric: str | None = None) -> Tested:
    """Read the episodes of an algorithm's tested runs; seeds under a condition must have equally many episodes.

    metric: the task kind's own, unless another is named; conditions without a value are left out.
    """
    return gather_all(algorithm, found, [metric or found[0].metric])[0]


def gather_all(algorithm: str, found: list[RunResult], metrics: list[str]) -> list[Tested]:
    """As `gather`, for several metrics at once: each file is read once."""
    columns = {metric: defaultdict(list) for metric in metrics}
    for result in found:
        for condition, part in result.episodes().groupby(CONDITION_COLUMNS, sort=True):
            for metric in metrics:
                values = part[metric].dropna().to_numpy(np.float64)
                if len(values):
                    columns[metric][condition].append((result.folder, values))
    return [Tested(algorithm, found[0].run, metric, _stacked(columns[metric])) for metric in metrics]


def _stacked(columns: dict[tuple, list[tuple[Path, np.ndarray]]]) -> dict[tuple, np.ndarray]:
    """The seeds of each condition as one table, clean conditions first."""
    for condition, entries in columns.items():
        longest, shortest = max(entries, key=lambda e: len(e[1])), min(entries, key=lambda e: len(e[1]))
        if len(longest[1]) != len(shortest[1]):
            raise ResultError(
                f"{longest[0]}/episodes.parquet has {len(longest[1])} episodes and {shortest[0]}/episodes.parquet has "
                f"{len(shortest[1])} under {condition}: the study was changed in between; test both again"
            )
    return {
        c: np.stack([values for _, values in entries]) for c, entries in sorted(columns.items(), key=_order)
    }


def _order(item: tuple[tuple, object]) -> tuple:
    """Clean first, then by name and severity."""
    condition = item[0]
    return (condition[0] != "none", *condition)


def batches(values: dict[tuple, np.ndarray]) -> list[tuple[list[tuple], np.ndarray]]:
    """Conditions of the same shape stacked: one bootstrap call for all of them."""
    shapes = defaultdict(list)
    for condition, table in values.items():
        shapes[table.shape].append(condition)
    return [(conditions, np.stack([values[c] for c in conditions])) for conditions in shapes.values()]


def cell_rows(setting: Setting, tested: Tested) -> list[dict]:
    rows, (bottom, top) = {}, results.RANGES[tested.metric]
    for conditions, stack in batches(tested.values):
        interval = stats.two_level_interval(stack)
        within = [np.mean([stats.episode_interval(seed)[1] for seed in table]) for table in stack]
        for i, condition in enumerate(conditions):
            named = dict(zip(CONDITION_COLUMNS, condition, strict=True))
            rows[condition] = {
                **dict(zip(SETTING_COLUMNS, setting, strict=True)),
                "algorithm": tested.algorithm,
                **{key: tested.record[key] for key in ("title", "family")},
                **named,
                "paper_mode": named["mode"] == tested.paper_mode,
                "metric": tested.metric,
                "mean": interval.mean[i],
                "low": max(interval.low[i], bottom),
                "high": min(interval.high[i], top),
                "episode_half_width": within[i],
                "n_seeds": stack.shape[1],
                "n_episodes": stack.shape[2],
                "chance": 1 / named["test_way"] if tested.metric == "accuracy" else np.nan,
            }
    return [rows[condition] for condition in tested.values]


def comparison_rows(setting: Setting, tested: list[Tested]) -> list[dict]:
    """Every pair in its paper mode under every common condition; Holm over the pairs of one condition.

    What is known of the spread over seeds is shared by all learners tested under a condition (`stats.seed_prior`).
    """
    paper = [(t.algorithm, *t.paper()) for t in tested if t.values]
    paper = [(algorithm, mode, _with_averages(values)) for algorithm, mode, values in paper]
    tables = defaultdict(list)
    for _, _, values in paper:
        for condition, table in values.items():
            tables[condition].append(table)
    priors = {condition: stats.seed_prior(found) for condition, found in tables.items()}
    families = defaultdict(list)
    for a, b in itertools.combinations(paper, 2):
        for row in _pair_rows(setting, a, b, priors):
            families[tuple(row[key] for key in SHARED_COLUMNS)].append(row)
    for family in families.values():
        for row, p in zip(family, stats.holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return [row for _, family in sorted(families.items(), key=_order) for row in family]


def _with_averages(values: dict[tuple, np.ndarray]) -> dict[tuple, np.ndarray]:
    """Adds the mean over all shifts and severities of a scope: shift `all`, severity -1, value 0; no exact strengths."""
    scopes = defaultdict(list)
    for (shift, severity, _, scope, *rest), table in values.items():
        if shift != "none" and severity > 0:
            scopes["all", -1, 0.0, scope, *rest].append(table)
    return values | {key: np.mean(tables, axis=0) for key, tables in scopes.items() if _same_shape(tables)}


def _same_shape(tables: list[np.ndarray]) -> bool:
    return len({table.shape for table in tables}) == 1


def _pair_rows(
    setting: Setting, a: tuple, b: tuple, priors: dict[tuple, stats.SeedPrior | None]
) -> list[dict]:
    (name_a, mode_a, values_a), (name_b, mode_b, values_b) = a, b
    same = [c for c in values_a if c in values_b and values_a[c].shape[1] == values_b[c].shape[1]]
    shapes = defaultdict(list)
    for condition in same:
        shapes[values_a[condition].shape, values_b[condition].shape, priors[condition] is None].append(
            condition
        )
    rows = []
    for (*_, alone), conditions in shapes.items():
        stack_a, stack_b = (np.stack([values[c] for c in conditions]) for values in (values_a, values_b))
        prior = (
            None if alone else stats.SeedPrior(*zip(*(astuple(priors[c]) for c in conditions), strict=True))
        )
        interval = stats.paired(stack_a, stack_b, prior=prior)
        for i, condition in enumerate(conditions):
            rows.append(
                {
                    **dict(zip([*SETTING_COLUMNS, *SHARED_COLUMNS], [*setting, *condition], strict=True)),
                    **{"algorithm_a": name_a, "mode_a": mode_a, "algorithm_b": name_b, "mode_b": mode_b},
                    **{"difference": interval.mean[i], "low": interval.low[i], "high": interval.high[i]},
                    "p": interval.p[i],
                    "n_seeds": min(stack_a.shape[1], stack_b.shape[1]),
                    "n_episodes": stack_a.shape[2],
                }
            )
    return rows


def own_condition(setting: Setting, mode: str) -> tuple:
    """The condition of tasks as trained for, without a shift."""
    own = {"shift": "none", "severity": 0, "value": 0.0, "scope": "clean", "mode": mode}
    own |= {"test_tasks": STANDARD, "test_way": setting[1], "test_shot": setting[2], "test_steps": -1}
    return tuple(own[column] for column in CONDITION_COLUMNS)


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
            stats.two_level_interval(table) for table in (transductive - inductive, inductive, transductive)
        )
        row = dict(zip(SETTING_COLUMNS, setting, strict=True)) | {"algorithm": one.algorithm}
        row |= {key: one.record[key] for key in ("title", "family")} | {"paper": one.record["paper_mode"]}
        for mode, interval in zip(MODES, own, strict=True):
            ends = {f"{mode}_low": max(interval.low, 0.0), f"{mode}_high": min(interval.high, 1.0)}
            row |= {mode: interval.mean} | ends
        row |= {"difference": difference.mean, "low": difference.low, "high": difference.high}
        seeds, episodes = inductive.shape
        rows.append(row | {"p": float(difference.p), "n_seeds": seeds, "n_episodes": episodes})
    for row, p in zip(rows, stats.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return rows


def ranks_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Average ranks in paper mode; a block is a task of a data set (clean) or a task under one shift (shifted).

    Exact strengths, whose severity is 0, would count a shift more than once and are left out.
    Algorithms without a value in every block are left out: a rank among fewer is not comparable.
    """
    ranked_by = cells["metric"].isin(results.METRICS.values())
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
            ranked = stats.ranks(blocks)
            for algorithm, rank in sorted(ranked.average.items(), key=lambda item: (item[1], item[0])):
                tests = (ranked.blocks, ranked.friedman_p, ranked.critical_difference)
                rows.append(
                    dict(zip(RANK_COLUMNS, (dataset, conditions, algorithm, rank, *tests), strict=True))
                )
    return pd.DataFrame(rows, columns=RANK_COLUMNS)
