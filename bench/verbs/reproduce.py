"""Check a reference result: `python -m bench reproduce RUN` trains and tests it again by its record and compares the episodes.

`--weights` tests the committed model instead: minutes in place of a training (`make verify`).
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.numbers import number
from bench.results.condition import CONDITION_COLUMNS
from bench.results.files import ResultError
from bench.results.reference_list import FILE, listed_studies
from bench.results.reference_store import kept_folder
from bench.results.rerun import test_again, train_again
from bench.results.run_folder import RunResult, read_run
from bench.results.schema import MODEL
from bench.study.run import Run
from bench.study.study import Study

ROUNDING = 0.002
"""Largest difference of a condition's mean, of weights that are the same, that another order of additions explains."""
MOST, LEAST, MINUTES = 100, 10, 3
"""Episodes of each condition whose weights are tested again: as many as take so long, the most and the least."""
MACHINE = ("cpu", "gpu", "torch", "threads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "run",
        nargs="?",
        help="e.g. omniglot/5way_1shot/protonet/seed0; with --weights: all that have weights",
    )
    parser.add_argument("--list", default=FILE, help="YAML list of reference runs (default: %(default)s)")
    parser.add_argument("--weights", action="store_true", help="test the committed weights, train nothing")
    parser.add_argument(
        "--episodes",
        type=int,
        help=f"with --weights: first episodes of each condition (default: what takes {MINUTES} minutes, at most {MOST})",
    )


def main(args: argparse.Namespace) -> int:
    """Make the runs again and compare them; return 1 where one differs by more than rounding explains."""
    found = chosen(args)
    same = [check(study, run, args) for study, run in found]
    return int(not all(same))


def chosen(args: argparse.Namespace) -> list[tuple[Study, Run]]:
    """Return the runs to check. ValueError: there is no such run, or it has no weights."""
    every = [(study, run) for study in listed_studies(Path(args.list)) for run in study.runs()]
    if args.weights:
        every = [(study, run) for study, run in every if (kept_folder(run) / MODEL).exists()]
    found = [(study, run) for study, run in every if args.run in (None, run.name, f"{run.study}/{run.name}")]
    if not found or not (args.run or args.weights):
        known = "".join(f"\n  {run.study}/{run.name}" for _, run in every)
        kind = "reference results with weights" if args.weights else "reference results"
        raise ValueError(
            f"there is no {args.run or 'run named'} among the {kind}:{known or ' there are none'}"
        )
    return found


def check(study: Study, run: Run, args: argparse.Namespace) -> bool:
    """Make one run again and say how it differs; return whether that is no more than rounding."""
    kept = read_run(kept_folder(run))
    kept.check()
    if args.weights:
        again = read_run(test_again(kept.folder, study, fewer(study, args.episodes or affordable(kept))))
    else:
        again = read_run(train_again(kept, study))
    if not again.scored:
        raise ResultError(f"{again.folder} is {again.status}: {again.reason}; {kept.folder} is {kept.status}")
    record = "test" if args.weights else "run"
    largest, text = compared(kept, again)
    other = changed_since(*(getattr(result, record) for result in (kept, again)))
    print(f"{run.study}/{run.name}: {text}; {other or 'the same code and kind of machine'}", flush=True)
    allowed = (ROUNDING if args.weights else float("inf")) if other else 0.0
    return largest <= allowed


def affordable(kept: RunResult) -> int:
    """Return how many episodes of each condition are tested in `MINUTES` on a machine like that of the record."""
    episodes, seconds = kept.episodes(), kept.test.get("seconds")
    if not seconds:  # an older record
        return MOST
    of_each = seconds / len(episodes) * len(episodes[CONDITION_COLUMNS].drop_duplicates())
    return min(MOST, max(LEAST, int(60 * MINUTES / of_each)))


def fewer(study: Study, episodes: int) -> dict:
    """Return the study's tests on the first episodes of each condition only."""
    config = study.config
    return {
        "test": config["test"] | {"episodes": min(episodes, config["test"]["episodes"])},
        **{
            part: config[part] | {"episodes": min(episodes, config[part]["episodes"])}
            for part in ("shifts", "experiments")
        },
    }


def changed_since(kept: dict[str, Any], again: dict[str, Any]) -> str:
    """What may make another record round differently: processor, version of PyTorch or code. Empty where all are the same."""
    both = [record.get("provenance", {}) for record in (kept, again)]
    if not all(key in both[0] and both[0][key] == both[1].get(key) for key in MACHINE):
        return "another kind of machine"
    code = [record.get("made_from", {}).get("code") for record in (kept, again)]
    return "" if code[0] == code[1] else "the same kind of machine, by code that has changed since"


def compared(kept: RunResult, again: RunResult) -> tuple[float, str]:
    """Return the largest difference of a condition's mean, and a sentence; on the conditions and episodes of both.

    The main metric is compared, episode by episode: it is kept to the last digit.
    """
    keys, metric = [*CONDITION_COLUMNS, "episode"], kept.metric
    sides = [result.episodes()[[*keys, metric]] for result in (kept, again)]
    both = pd.merge(*sides, on=keys, suffixes=("", "_again"))
    if both.empty:
        raise ResultError(
            f"{again.folder} and {kept.folder} were tested under no common condition; the study has changed"
        )
    both["difference"] = both[f"{metric}_again"].astype(float) - both[metric].astype(float)
    conditions = both.groupby(CONDITION_COLUMNS)["difference"].mean()
    counted = f"{len(both):,} episodes of {len(conditions)} conditions"
    other = int(both["difference"].ne(0).sum())
    if not other:
        return 0.0, f"{counted} are equal to the last digit"
    at = conditions.abs().idxmax()
    place = ", ".join(str(value) for value in at[:5])
    text = f"{other:,} of {counted} differ; of a condition's mean, by {number(conditions[at], metric, sign=True)} at most ({place})"
    return float(conditions.abs().max()), text
