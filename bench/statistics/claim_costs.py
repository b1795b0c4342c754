"""Claims about costs: the mean of log2 over the seeds of each algorithm, compared between algorithms."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.results.run_folder import RunResult
from bench.statistics.claim_training import images_per_task
from bench.statistics.contestants import Contestants, Effect, Missing
from bench.statistics.intervals import Interval

COSTS = ("adapt_ms", "images_to_reach")
"""Metrics of a run, not of its episodes; compared as log2."""


@dataclass(frozen=True)
class _Cost:
    """The cost of a run; at_most, at_least: it is known only as a bound."""

    log: float
    at_most: bool = False
    at_least: bool = False


def cost_effect(claim: dict, contestants: Contestants) -> Effect:
    """Return the difference of the mean log2 costs of the algorithms of both sides, by Welch's t over algorithms.

    Seeds of one algorithm are no independent cases, so n is the number of algorithms. Raises Missing for fewer than two
    on a side, and for times of different devices.
    """
    from scipy.stats import ttest_ind  # takes half a second to import; few claims need it

    left, right = (
        {name: contestants.runs[name] for name in contestants.algorithms(claim[s])} for s in ("left", "right")
    )
    if claim["metric"] == "adapt_ms":
        _check_devices([run for runs in (left | right).values() for run in runs])
    costs = [{name: _costs(claim, runs) for name, runs in side.items()} for side in (left, right)]
    costs = [{name: found for name, found in side.items() if found} for side in costs]
    means = [[np.mean([cost.log for cost in found]) for found in side.values()] for side in costs]
    if min(map(len, means)) < 2:
        raise Missing("fewer than two algorithms on a side have a cost")
    interval = ttest_ind(*means, equal_var=False).confidence_interval()
    difference = np.mean(means[0]) - np.mean(means[1])
    if np.ptp(means[0]) == np.ptp(means[1]) == 0:  # without any spread, the test has no interval
        interval = Interval(difference, difference, difference, "")
    both = Interval(difference, interval.low, interval.high, "algorithms")
    seeds = min(len(found) for side in costs for found in side.values())
    return Effect(both, seeds, 0, **_bounds(*costs))


def _check_devices(runs: list[RunResult]) -> None:
    devices = {(run.test.get("provenance") or run.run["provenance"]).get("device", "") for run in runs}
    if len(devices) > 1:
        raise Missing(f"times of different devices: {', '.join(sorted(devices))}")


def _costs(claim: dict, runs: list[RunResult]) -> list[_Cost]:
    find = _adaptation if claim["metric"] == "adapt_ms" else _images
    return [cost for cost in (find(claim, run) for run in runs) if cost]


def _adaptation(claim: dict, run: RunResult) -> _Cost | None:
    milliseconds = run.test["adapt_ms_per_task"]
    return _Cost(float(np.log2(milliseconds))) if milliseconds else None


def _images(claim: dict, run: RunResult) -> _Cost | None:
    """Return the images seen until a validation reached the accuracy; a bound where the first or none did."""
    history: pd.DataFrame = run.history()
    if history.empty:
        return None
    reached = history["val_score"].ge(claim["reach"]).to_numpy()
    row = history.iloc[reached.argmax() if reached.any() else -1]
    log = float(np.log2(row["tasks"] * images_per_task(run.run)))
    return _Cost(log, at_most=bool(reached[0]), at_least=not reached.any())


def _bounds(left: dict[str, list[_Cost]], right: dict[str, list[_Cost]]) -> dict:
    """Return in which directions the true effect may lie beyond the one computed, and why."""
    never = [name for side in (left, right) for name, found in side.items() if any(c.at_least for c in found)]
    first = [name for side in (left, right) for name, found in side.items() if any(c.at_most for c in found)]
    notes = [f"not reached by {', '.join(never)}"] if never else []
    notes += [f"reached by the first validation of {', '.join(first)}"] if first else []
    return {
        "larger": bool(set(never) & set(left) or set(first) & set(right)),
        "smaller": bool(set(first) & set(left) or set(never) & set(right)),
        "note": "; ".join(notes),
    }
