"""Claims of the literature, judged by a study: `python -m bench claims config/quick.yaml`.

Writes results/{study}/tables/claims.csv: one row per claim of config/claims.yaml and setting of the study. A claim is
`supported` or `refuted` where the whole 95 % interval of its effect lies on one side of its margin, else `undecided`, as
with one seed where nothing tells how trainings differ; `untested` where the study lacks what it compares. Both sides are
judged in one mode: where their papers' modes differ, in each that all of them were tested in, a row each.
"""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd

from bench.paths import ROOT, results_root
from bench.results.files import read_csv, write_csv
from bench.results.metrics import METRICS
from bench.results.run_folder import examined
from bench.results.setting import SETTING_COLUMNS
from bench.results.table_digests import record_digests
from bench.statistics.claim_costs import COSTS
from bench.statistics.claim_effects import effect, modes
from bench.statistics.contestants import PAPER, Contestants, Effect, Missing
from bench.statistics.intervals import EPISODES
from bench.statistics.summarize import by_setting, scored
from bench.study.study import Study, load_study
from bench.study.text import read_yaml

FILE = ROOT / "config" / "claims.yaml"
SCHEMA = ROOT / "workflow" / "schemas" / "claims.schema.yaml"
ONE_SEED = "one seed: the interval speaks of these trained models, not of the algorithms"
COLUMNS = [
    *["id", "claim", "source", *SETTING_COLUMNS, "mode", "metric", "predicts", "margin", "verdict"],
    *["effect", "low", "high", "n_seeds", "n_episodes", "figure", "reason"],
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench claims`."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")


def main(args: argparse.Namespace) -> int:
    """Judge the claims and print the number of verdicts of each kind."""
    path = write_claims(load_study(args.study))
    counts = Counter(read_csv(path)["verdict"])
    print(f"wrote {path}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())))
    return 0


def write_claims(study: Study, claims: Path = FILE) -> Path:
    """Write the study's tables/claims.csv; return its path."""
    table = judge_study(study, load_claims(claims))
    path = write_csv(results_root() / study.name / "tables" / "claims.csv", table)
    record_digests(path.parent, "claims", [path.name])
    return path


def load_claims(path: Path) -> list[dict[str, Any]]:
    """Return the claims with their defaults. Raises ValueError naming the file, the claim and the key."""
    schema, content = read_yaml(SCHEMA), read_yaml(path)
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(content), key=lambda e: e.json_path)
    if errors:
        raise ValueError(
            f"{path}: " + "; ".join(f"{e.json_path.removeprefix('$.')}: {e.message}" for e in errors)
        )
    claims = [{"metric": "accuracy", "change": False, "mode": "same", **claim} for claim in content["claims"]]
    twice = [name for name, n in Counter(claim["id"] for claim in claims).items() if n > 1]
    if twice:
        raise ValueError(f"{path}: claims: the id {twice[0]!r} occurs twice")
    for claim in claims:
        _check(claim, path)
    return claims


def _check(claim: dict, path: Path) -> None:
    """Raise ValueError for keys that do not belong together."""
    if (claim["metric"] == "images_to_reach") != ("reach" in claim):
        raise ValueError(f"{path}: {claim['id']}: `reach` belongs to metric images_to_reach, and only to it")
    left, right = (
        {key: value for key, value in claim[side].items() if key != "at"} for side in ("left", "right")
    )
    same = left == right or "constant" in right
    if not same and claim["left"].get("at") != claim["right"].get("at"):
        raise ValueError(f"{path}: {claim['id']}: different learners need the same `at` on both sides")


def judge_study(study: Study, claims: list[dict]) -> pd.DataFrame:
    """Return one row per claim and setting in which it applies (`COLUMNS`)."""
    found = [(run, examined(run.folder)) for run in study.runs()]
    contests = [Contestants(setting, scored(group)) for setting, group in by_setting(found).items()]
    rows = [
        row
        for claim in claims
        for contest in contests
        if _applies(claim, contest)
        for row in _rows(claim, contest)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _applies(claim: dict, contestants: Contestants) -> bool:
    """Whether the setting has the metric and the split: a metric of episodes belongs to a kind of task, costs to images."""
    splits = {runs[0].run["data"].get("split") for runs in contestants.runs.values()}
    if splits and "splits" in claim and not splits & set(claim["splits"]):
        return False
    kinds = {runs[0].run["task_kind"] for runs in contestants.runs.values()}
    if claim["metric"] in COSTS:
        return "classification" in kinds
    return bool(kinds & set(METRICS[claim["metric"]].roles))


def _rows(claim: dict, contestants: Contestants) -> list[dict]:
    """Return a row per mode in which the claim is judged."""
    row = {key: claim[key] for key in ("id", "claim", "source", "metric", "predicts", "margin", "figure")}
    row |= contestants.setting._asdict() | {"mode": PAPER}
    try:
        found = {mode: effect(claim, contestants, mode) for mode in modes(claim, contestants)}
    except Missing as missing:
        return [row | {"verdict": "untested", "reason": str(missing)}]
    return [row | {"mode": mode} | _judged(claim, one) for mode, one in found.items()]


def _judged(claim: dict, found: Effect) -> dict:
    low, high = float(found.interval.low), float(found.interval.high)
    row = {"effect": float(found.interval.mean), "low": low, "high": high}
    row |= {"n_seeds": found.seeds, "n_episodes": found.episodes}
    if found.interval.levels == EPISODES:
        return row | {"verdict": "undecided", "reason": ONE_SEED}
    low, high = (-math.inf if found.smaller else low), (math.inf if found.larger else high)
    return row | {
        "verdict": judge(low, high, claim["predicts"], claim["margin"]),
        "reason": found.note or None,
    }


def judge(low: float, high: float, predicts: str, margin: float) -> str:
    """Return the verdict on left - right, whose 95 % interval is [low, high]."""
    if predicts == "less":
        low, high, predicts = -high, -low, "greater"
    if predicts == "equal":
        supported, refuted = -margin < low and high < margin, low > margin or high < -margin
    else:
        bound = margin if predicts == "greater" else -margin
        supported, refuted = low > bound, high < bound
    return "supported" if supported else "refuted" if refuted else "undecided"
