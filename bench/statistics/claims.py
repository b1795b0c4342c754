"""Claims of the literature, judged by a study: `python -m bench claims config/quick.yaml`.

Writes results/{study}/tables/claims.csv: one row per claim of config/claims.yaml and setting of the study. A claim is
`supported` or `refuted` where the whole 95 % interval of its effect lies on one side of its margin, else `undecided`;
`untested` where the study lacks what it compares.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import yaml
from scipy import stats as tests

from bench.paths import ROOT, results_root
from bench.results.condition import STANDARD
from bench.results.files import write_text
from bench.results.run_folder import RunResult
from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, SHARED_COLUMNS, Tested, gather
from bench.statistics.intervals import Interval
from bench.statistics.summarize import finished_by_setting
from bench.study.study import Study, load_study

FILE = ROOT / "config" / "claims.yaml"
SCHEMA = ROOT / "workflow" / "schemas" / "claims.schema.yaml"
COSTS = ("adapt_ms", "tasks_to_reach")
"""Metrics of a run rather than of its episodes, compared as log2."""
COLUMNS = [
    *[
        "id",
        "claim",
        "source",
        *SETTING_COLUMNS,
        "metric",
        "predicts",
        "margin",
        "verdict",
        "effect",
        "low",
        "high",
    ],
    *["n_seeds", "n_episodes", "figure", "reason"],
]


class Missing(Exception):
    """The study lacks something that a claim compares."""


@dataclass(frozen=True)
class Setting:
    """The finished runs of one setting by algorithm, and what their episodes say by metric."""

    key: tuple[str, int, int]
    found: dict[str, list[RunResult]]

    def algorithms(self, side: dict) -> list[str]:
        """Who takes part. Raises Missing with their names when someone is not there."""
        if "family" in side:
            records = {name: runs[0].run for name, runs in self.found.items() if name != "pixel_nn"}
            members = {name: r for name, r in records.items() if r["family"] == side["family"]}
            names = [name for name, record in members.items() if not record.get("variant_of")]
            if not names:
                raise Missing(f"no {side['family']} learner")
            return names
        lacking = [name for name in side["algorithms"] if name not in self.found]
        if lacking:
            raise Missing(f"no {', '.join(lacking)}")
        return side["algorithms"]

    def values(self, side: dict, metric: str, at: dict) -> np.ndarray:
        """`[seeds, episodes]`: mean over the side's algorithms and over the conditions that `at` names."""
        tables = []
        for name in self.algorithms(side):
            tested = gather(name, self.found[name], metric)
            matching = [
                table for condition, table in _own_first(tested) if self._matches(condition, at, tested)
            ]
            if not matching:
                raise Missing(f"{name} was not tested under {at or 'the tasks it was trained for'}")
            tables += matching
        seeds, episodes = (min(table.shape[axis] for table in tables) for axis in (0, 1))
        return np.mean([table[:seeds, :episodes] for table in tables], axis=0)

    def _matches(self, condition: dict, at: dict, tested: Tested) -> bool:
        own = {"shift": ["none"], "test_tasks": STANDARD, "test_steps": -1}
        own |= {"test_way": self.key[1], "test_shot": self.key[2]}
        wanted = own | at
        if wanted.get("severity") == "highest":
            same = [c["severity"] for c, _ in _own_first(tested) if c["shift"] == condition["shift"]]
            wanted["severity"] = max(same)
        shift = wanted.pop("shift")
        return condition["shift"] in shift and all(condition[key] == value for key, value in wanted.items())


def _own_first(tested: Tested) -> list[tuple[dict, np.ndarray]]:
    """Conditions in the reported mode, as dictionaries, with their values; exact strengths (severity 0) are no claim's."""
    if not tested.values:
        return []
    found = [(dict(zip(SHARED_COLUMNS, c, strict=True)), table) for c, table in tested.paper()[1].items()]
    return [(c, table) for c, table in found if c["shift"] == "none" or c["severity"] > 0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")


def main(args: argparse.Namespace) -> int:
    path = write_claims(load_study(args.study))
    counts = Counter(pd.read_csv(path)["verdict"])
    print(f"wrote {path}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())))
    return 0


def write_claims(study: Study, claims: Path = FILE) -> Path:
    """Write the study's tables/claims.csv; returns its path."""
    table = judge_study(study, load_claims(claims))
    path = results_root() / study.name / "tables" / "claims.csv"
    return write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def load_claims(path: Path) -> list[dict[str, Any]]:
    """The claims with their defaults. ValueError names the file, the claim and the key."""
    schema, content = yaml.safe_load(SCHEMA.read_text()), yaml.safe_load(path.read_text(encoding="utf-8"))
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(content), key=lambda e: e.json_path)
    if errors:
        raise ValueError(
            f"{path}: " + "; ".join(f"{e.json_path.removeprefix('$.')}: {e.message}" for e in errors)
        )
    claims = [{"metric": "accuracy", "change": False, **claim} for claim in content["claims"]]
    twice = [name for name, n in Counter(claim["id"] for claim in claims).items() if n > 1]
    if twice:
        raise ValueError(f"{path}: claims: the id {twice[0]!r} occurs twice")
    for claim in claims:
        if (claim["metric"] == "tasks_to_reach") != ("reach" in claim):
            raise ValueError(
                f"{path}: {claim['id']}: `reach` belongs to metric tasks_to_reach, and only to it"
            )
    return claims


def judge_study(study: Study, claims: list[dict]) -> pd.DataFrame:
    """One row per claim and setting in which it applies (`COLUMNS`)."""
    settings = [Setting(key, found) for key, found in finished_by_setting(study).items()]
    rows = [_row(claim, setting) for claim in claims for setting in settings if _applies(claim, setting)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _applies(claim: dict, setting: Setting) -> bool:
    """Accuracy is a matter of classification, squared error and coverage of regression, costs of both."""
    kinds = {runs[0].run["task_kind"] for runs in setting.found.values()}
    wanted = {"accuracy": "classification", "mse": "regression", "coverage": "regression"}.get(
        claim["metric"]
    )
    return bool(kinds) and (wanted in kinds if wanted else "classification" in kinds)


def _row(claim: dict, setting: Setting) -> dict:
    row = {key: claim[key] for key in ("id", "claim", "source", "metric", "predicts", "margin", "figure")}
    row |= dict(zip(SETTING_COLUMNS, setting.key, strict=True))
    try:
        interval, seeds, episodes = effect(claim, setting)
    except Missing as missing:
        return row | {"verdict": "untested", "reason": str(missing)}
    found = {
        key: float(getattr(interval, name))
        for key, name in (("effect", "mean"), ("low", "low"), ("high", "high"))
    }
    verdict = judge(found["low"], found["high"], claim["predicts"], claim["margin"])
    return row | found | {"verdict": verdict, "n_seeds": seeds, "n_episodes": episodes}


def judge(low: float, high: float, predicts: str, margin: float) -> str:
    """Verdict on left - right, whose 95 % interval is [low, high]."""
    if predicts == "less":
        low, high, predicts = -high, -low, "greater"
    if predicts == "equal":
        supported, refuted = -margin < low and high < margin, low > margin or high < -margin
    else:
        bound = margin if predicts == "greater" else -margin
        supported, refuted = low > bound, high < bound
    return "supported" if supported else "refuted" if refuted else "undecided"


def effect(claim: dict, setting: Setting) -> tuple[Interval, int, int]:
    """left - right with its 95 % interval, the seeds and the episodes behind it. Raises Missing."""
    if claim["metric"] in COSTS:
        return _cost_effect(claim, setting)
    left, right = (_at(claim, setting, side) for side in ("left", "right"))
    if claim["change"]:
        clean = [setting.values(claim[side], claim["metric"], {}) for side in ("left", "right")]
        if not _same_episodes(claim):
            found = _subtract(_difference(claim, left, right), _difference(claim, *clean))
            return found, len(left), left.shape[1]
        left, right = left - clean[0][:, : left.shape[1]], right - clean[1][:, : right.shape[1]]
    return _difference(claim, left, right), min(len(left), len(right)), min(left.shape[1], right.shape[1])


def _at(claim: dict, setting: Setting, name: str) -> np.ndarray:
    side = claim[name]
    if "constant" in side:
        return np.full((1, 1), side["constant"])
    return setting.values(side, claim["metric"], side.get("at", {}))


def _same_episodes(claim: dict) -> bool:
    """Shifts and numbers of steps are tested on the first of the clean episodes, other tasks on their own."""
    return not {"test_tasks", "test_way", "test_shot"} & set(claim["left"].get("at", {}))


def _difference(claim: dict, left: np.ndarray, right: np.ndarray) -> Interval:
    """Paired by episode; by seed, too, where both sides are the same models or one is a number."""
    if "constant" in claim["right"]:
        return intervals.two_level_interval(left - right)
    episodes = min(left.shape[1], right.shape[1])
    left, right = left[:, :episodes], right[:, :episodes]
    who = ("algorithms", "family")
    same_models = all(claim["left"].get(key) == claim["right"].get(key) for key in who)
    return intervals.two_level_interval(left - right) if same_models else intervals.paired(left, right)


def _subtract(a: Interval, b: Interval) -> Interval:
    """a - b from independent episodes: distances to the ends add in quadrature."""
    mean = a.mean - b.mean
    low = mean - np.hypot(a.mean - a.low, b.high - b.mean)
    high = mean + np.hypot(a.high - a.mean, b.mean - b.low)
    return replace(a, mean=mean, low=low, high=high, p=np.array(np.nan))


def _cost_effect(claim: dict, setting: Setting) -> tuple[Interval, int, int]:
    """Difference of mean log2 costs over the runs of each side, by Welch's t."""
    sides = []
    for side in (claim["left"], claim["right"]):
        costs = [_cost(claim, run) for name in setting.algorithms(side) for run in setting.found[name]]
        costs = np.log2([cost for cost in costs if cost])
        if len(costs) < 2:
            raise Missing("fewer than two runs on a side have a cost")
        sides.append(costs)
    interval = tests.ttest_ind(*sides, equal_var=False).confidence_interval()
    mean = sides[0].mean() - sides[1].mean()
    both = Interval(mean, interval.low, interval.high, np.array(np.nan), "runs")
    return both, min(map(len, sides)), 0


def _cost(claim: dict, result: RunResult) -> float | None:
    """Milliseconds per task, or training tasks until the accuracy was reached (at least all of them if it never was)."""
    if claim["metric"] == "adapt_ms":
        return result.test["adapt_ms_per_task"]
    history = result.history()
    reached = history[history["val_accuracy"] >= claim["reach"]]
    return None if history.empty else float((reached if len(reached) else history.tail(1))["tasks"].iloc[0])
