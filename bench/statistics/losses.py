"""Rows of losses.csv: what learners and families keep and lose where every shift is at its highest severity.

Values are means over the shifts that all learners were tested under; changes are paired with the clean task by seed and episode. Batch statistics of shifted
queries are themselves a remedy, which only some families have in their papers. So families are compared within one mode, too.
"""

from collections import defaultdict

import numpy as np

from bench.results.condition import MODES
from bench.results.metrics import clipped
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.degradation import FAMILIES
from bench.statistics.gather import REPORTED, LearnerResults
from bench.statistics.intervals import contrast
from bench.statistics.multiplicity import from_best
from bench.statistics.seed_variance import SeedPrior, seed_prior
from bench.statistics.severities import METRIC, curves_of, severity_conditions

LOSS_COLUMNS = [
    *[*SETTING_COLUMNS, "scope", "mode", "kind", "algorithm", "title", "family"],
    *["mean", "low", "high", "clean", "change", "change_low", "change_high", "p_best", "p_least"],
    *["n_algorithms", "n_seeds", "n_episodes"],
]
Tables = dict[str, np.ndarray]
"""Clean and shifted values `[2, seeds, episodes]` by name."""


def loss_rows(setting: Setting, learners: list[LearnerResults], yardsticks: dict[str, bool]) -> list[dict]:
    """Return a row per scope, mode and learner, then per family, the mean over its algorithms (without variants).

    What is known of the spread over seeds comes from all learners, as in comparisons. Of learners, p is for the reported
    modes only. p_best: of the value being below the highest of the same kind, mode and scope, corrected for the number of the
    others (`multiplicity.from_best`); p_least: of the loss being above the smallest; NaN of this one, and of learners that are
    yardsticks. Classification only.
    """
    learners, rows = [one for one in learners if one.values and one.metric == METRIC], []
    known = {one.algorithm: one.record for one in learners}
    competing = [name for name in known if not yardsticks.get(name)]
    for mode in (REPORTED, *MODES):
        by_scope = defaultdict(dict)
        for one in learners:
            for scope, table in _hardest(setting, one, mode).items():
                by_scope[scope][one.algorithm] = table
        for scope, tables in by_scope.items():
            facts = {**setting._asdict(), "scope": scope, "mode": mode}
            spread = list(tables.values())
            priors = [seed_prior([t[1] for t in spread]), seed_prior([t[1] - t[0] for t in spread])]
            single = {name: [table] for name, table in tables.items()}
            compared = competing if mode == REPORTED else []
            rows += _rows(facts | {"kind": "learner"}, single, known, compared, priors)
            families = _families(tables, known)
            rows += _rows(facts | {"kind": "family"}, families, known, list(families), priors)
    return rows


def _hardest(setting: Setting, results: LearnerResults, mode: str) -> Tables:
    """Return by scope the mean over the shifts, each at its highest severity, beside the clean values."""
    by_scope = defaultdict(list)
    found = severity_conditions(setting, results, None if mode == REPORTED else mode)
    for (scope, shift), conditions in found.items():
        counted = [s for s in conditions if s and results.counts(scope, shift, s, mode)]
        if counted:
            by_scope[scope].append({severity: conditions[severity] for severity in (0, max(counted))})
    tables = {
        scope: np.mean([list(curve.values()) for curve in curves_of(results, several)], axis=0)
        for scope, several in by_scope.items()
    }
    return {scope: table for scope, table in tables.items() if table.shape[1]}


def _families(tables: Tables, known: dict[str, dict]) -> dict[str, list[np.ndarray]]:
    members = defaultdict(list)
    for name, table in tables.items():
        if not known[name].get("variant_of"):
            members[known[name]["family"]].append(table)
    return {family: members[family] for family in FAMILIES if family in members}


def _rows(
    facts: dict,
    members: dict[str, list[np.ndarray]],
    known: dict[str, dict],
    competing: list[str],
    priors: list[SeedPrior | None],
) -> list[dict]:
    """Return the rows of one kind; members: the tables of each learner or of the learners of each family.

    priors: of values and of changes.
    """
    parts = {  # by name the learners' values and changes, on the episodes that all of them have
        name: [[table[1, :, :n] for table in tables], [table[1, :, :n] - table[0, :, :n] for table in tables]]
        for name, tables in members.items()
        for n in [min(table.shape[-1] for table in tables)]
    }
    p = [
        _p_from_highest({name: parts[name][i] for name in parts if name in competing}, prior)
        for i, prior in enumerate(priors)
    ]
    rows = []
    for name, (values, changes) in parts.items():
        level, lost = (
            contrast(one, [], prior=prior) for one, prior in zip((values, changes), priors, strict=True)
        )
        low, high = clipped(METRIC, level.low, level.high)
        record = known.get(name, {"title": f"Mean of {len(values)} {name}", "family": name})
        rows.append(
            facts
            | {"algorithm": name, "title": record["title"], "family": record["family"]}
            | {"mean": level.mean, "low": low, "high": high, "clean": level.mean - lost.mean}
            | {"change": lost.mean, "change_low": lost.low, "change_high": lost.high}
            | {
                "p_best": p[0].get(name, np.nan),
                "p_least": p[1].get(name, np.nan),
                "n_algorithms": len(values),
            }
            | {"n_seeds": min(map(len, values)), "n_episodes": values[0].shape[-1]}
        )
    return rows


def _p_from_highest(sides: dict[str, list[np.ndarray]], prior: SeedPrior | None) -> dict[str, float]:
    """Return the p of being below the one with the highest mean (NaN of this one), corrected for the number of the others.

    Each is compared on the first episodes that it shares with the highest.
    """
    first = max(sides, key=lambda name: np.mean([table.mean() for table in sides[name]]), default=None)
    shapes = defaultdict(list)
    for name, tables in sides.items():
        if name != first:
            shapes[tuple(table.shape for table in tables)].append(name)
    p = dict.fromkeys(sides, float("nan"))
    for names in shapes.values():  # of equal shape at once
        n = min(sides[name][0].shape[-1] for name in (names[0], first))
        left = [np.stack(tables)[..., :n] for tables in zip(*(sides[name] for name in names), strict=True)]
        right = [np.broadcast_to(table[:, :n], (len(names), len(table), n)) for table in sides[first]]
        p |= zip(names, contrast(left, right, prior=prior).p, strict=True)
    return dict(zip(p, from_best(list(p.values()), len(p) - 1), strict=True))
