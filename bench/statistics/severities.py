"""Rows of severities.csv: what a learner scores and loses at each severity of a shift, on the same episodes throughout.

Shifts are tested on the first of the clean episodes. Severity 0 is the mean over these episodes, not over all clean ones,
whose mean differs: a loss is measured on the tasks that were shifted.
"""

from collections import defaultdict

import numpy as np

from bench.results.condition import Condition
from bench.results.episode_interval import episode_interval
from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.cells import joined_means
from bench.statistics.gather import LearnerResults, Place
from bench.statistics.intervals import two_level_interval
from bench.statistics.priors import batches_with_priors, priors_by_key
from bench.statistics.seed_variance import SeedPrior

SEVERITY_COLUMNS = [
    *[*SETTING_COLUMNS, "scope", "shift", "severity", "algorithm", "title", "family", "mode", "metric"],
    *["mean", "low", "high", "change", "change_low", "change_high", "n_seeds", "n_episodes"],
    *["seed_means", "seed_changes", "episode_half_width", "change_half_width"],
]
METRIC = main_metric("classification")
Key = tuple[str, str]
"""Scope and shift."""
Curve = dict[int, np.ndarray]
"""Tables `[seeds, episodes]` by severity, 0 first, all on the same episodes."""


def severity_conditions(
    setting: Setting, results: LearnerResults, mode: str | None = None
) -> dict[Key, dict[int, Condition]]:
    """Return the conditions at each severity, 0 the clean task, by scope and shift, on tasks as trained for.

    A severity that not all seeds of the highest one were tested under is left out. mode: by default the reported one.
    """
    mode = mode or (results.reported_mode if results.values else None)
    own = [c for c in results.values if c.mode == mode and c.as_trained(setting)]
    clean, shifted = next((c for c in own if c.clean), None), defaultdict(dict)
    for condition in own if clean else []:
        if condition.graded and {*results.seeds_of(clean)} & {*results.seeds_of(condition)}:
            shifted[condition.scope, condition.shift][condition.severity] = condition
    found = {}
    for key, by_severity in shifted.items():
        wanted = set(results.seeds_of(by_severity[max(by_severity)]))
        whole = [s for s in sorted(by_severity) if wanted <= set(results.seeds_of(by_severity[s]))]
        found[key] = {0: clean, **{severity: by_severity[severity] for severity in whole}}
    return found


def curves_of(results: LearnerResults, several: list[dict[int, Condition]]) -> list[Curve]:
    """Return the values under some learner's conditions by severity, all on the same seeds and episodes."""
    tables = iter(results.together([condition for one in several for condition in one.values()]))
    return [{severity: next(tables) for severity in one} for one in several]


def severity_rows(setting: Setting, learners: list[LearnerResults]) -> list[dict]:
    """Return a row per learner, scope, shift and severity; change: value minus that at severity 0, paired by episode and seed.

    seed_means, seed_changes: those of each seed, in order, as text. Half widths: the interval over the episodes of one seed,
    averaged over the seeds.
    Scope `clean`, shift `none`: the clean task on the episodes that every shifted condition has. Classification only: the
    shifted tasks of a regression are drawn anew and have no clean counterpart.
    """
    found = [(one, _pairs(setting, one)) for one in learners if one.metric == METRIC]
    priors = priors_by_key(pairs for _, pairs in found)
    return [row for one, pairs in found for row in _learner_rows(setting, one, pairs, priors)]


def _pairs(setting: Setting, results: LearnerResults) -> dict[Place, np.ndarray]:
    """Return value and change `[2, seeds, episodes]` of a learner by place, with the clean task as a shift of its own."""
    found = severity_conditions(setting, results)
    pairs = {}
    if found:
        clean = results.values[next(iter(found.values()))[0]]
        shared = min(results.values[c].shape[1] for curve in found.values() for c in curve.values())
        pairs["clean", "none", 0] = np.stack([clean[:, :shared], np.zeros_like(clean[:, :shared])])
    for key, conditions in found.items():
        (curve,) = curves_of(results, [conditions])
        pairs |= {(*key, severity): np.stack([table, table - curve[0]]) for severity, table in curve.items()}
    return pairs


def _learner_rows(
    setting: Setting,
    results: LearnerResults,
    pairs: dict[Place, np.ndarray],
    priors: dict[Place, SeedPrior | None],
) -> list[dict]:
    """Return a learner's rows. What is known of the spread over seeds is that of all learners, as in comparisons."""
    rows = {}
    for places, stack, prior in batches_with_priors(pairs, priors.get):
        interval = two_level_interval(stack, prior=prior)
        for i, (scope, shift, severity) in enumerate(places):
            (mean, change), lows, highs = interval.mean[i], interval.low[i], interval.high[i]
            low, high = clipped(results.metric, lows[0], highs[0])
            rows[places[i]] = {
                **setting._asdict(),
                **{"scope": scope, "shift": shift, "severity": severity, "algorithm": results.algorithm},
                **{key: results.record[key] for key in ("title", "family")},
                **{"mode": results.reported_mode, "metric": results.metric},
                **{"mean": mean, "low": low, "high": high},
                **{"change": change, "change_low": lows[1], "change_high": highs[1]},
                **({} if severity else {"change_low": 0.0, "change_high": 0.0}),
                **{"n_seeds": stack.shape[-2], "n_episodes": stack.shape[-1]},
                **_by_seed(stack[i]),
            }
    return [rows[place] for place in pairs]


def _by_seed(pair: np.ndarray) -> dict:
    """Return what the seeds of a table `[value and change, seeds, episodes]` score, each for itself."""
    half, change_half = (np.mean([episode_interval(seed)[1] for seed in table]) for table in pair)
    return {
        **{"seed_means": joined_means(pair[0]), "seed_changes": joined_means(pair[1])},
        **{"episode_half_width": half, "change_half_width": change_half},
    }
