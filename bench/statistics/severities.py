"""Rows of severities.csv: what a learner scores and loses at each severity of a shift, on the same episodes throughout.

Shifts are tested on the first of the clean episodes. Severity 0 is the mean over these episodes, not over all clean ones,
whose mean differs: a loss is measured on the tasks that were shifted.
"""

from collections import defaultdict

import numpy as np

from bench.results.episode_interval import episode_interval
from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.cells import joined_means
from bench.statistics.gather import LearnerResults, Place, common
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


def severity_curves(setting: Setting, results: LearnerResults, mode: str | None = None) -> dict[Key, Curve]:
    """Return the values at each severity by scope and shift, on tasks as trained for. mode: by default the reported one."""
    clean, shifted = None, defaultdict(dict)
    tested = results.reported() if mode is None else results.in_mode(mode)
    for condition, values in tested.items():
        if not condition.as_trained(setting):
            continue
        if condition.clean:
            clean = values
        elif condition.graded:
            shifted[condition.scope, condition.shift][condition.severity] = values
    if clean is None:
        return {}
    curves = {}
    for key, found in shifted.items():
        severities = [0, *sorted(found)]
        tables = common([clean, *(found[severity] for severity in severities[1:])])
        curves[key] = dict(zip(severities, tables, strict=True))
    return curves


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


def _clean_curve(setting: Setting, results: LearnerResults) -> dict[Key, Curve]:
    """Return the clean values on the episodes that all shifted conditions share; nothing where there are none."""
    own = {c: values for c, values in results.reported().items() if c.as_trained(setting)}
    shifted = [values for c, values in own.items() if not c.clean]
    clean = [values for c, values in own.items() if c.clean]
    return {("clean", "none"): {0: common([*clean, *shifted])[0]}} if clean and shifted else {}


def _pairs(setting: Setting, results: LearnerResults) -> dict[Place, np.ndarray]:
    """Return value and change `[2, seeds, episodes]` of a learner by place."""
    return {
        (*key, severity): np.stack([table, table - curve[0]])
        for key, curve in (_clean_curve(setting, results) | severity_curves(setting, results)).items()
        for severity, table in curve.items()
    }


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
