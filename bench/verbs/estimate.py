"""What a study will take: `python -m bench estimate config/quick.yaml`, before it is run.

Times a few updates and episodes of every learner on this machine, one learner at a time, then prints hours, memory and disk. The
timings are kept beside the study's results, so that the same command answers at once the next time, `bench status` says how much is
left, and a cluster's jobs ask for the time and memory that they need.
"""

import argparse
import heapq
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.results.estimate import (
    Cost,
    Timings,
    duration,
    read_timings,
    testing_cost,
    testing_key,
    timings_file,
    training_cost,
    training_key,
    write_timings,
)
from bench.study.run import Pretraining, Run
from bench.study.screen import Screen
from bench.study.study import Study, load_study
from tasks.prepared import is_prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="seconds spent on each part of a learner's work, about (default: %(default)s)",
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=os.cpu_count(),
        help="jobs at a time (default: the cores of this machine)",
    )
    parser.add_argument(
        "--timings", type=Path, help="file of timings that another machine has measured: measure nothing here"
    )
    parser.add_argument("--again", action="store_true", help="measure everything again")


def main(args: argparse.Namespace) -> int:
    """Measure what has not been measured yet, and print the table."""
    study = load_study(args.study)
    if args.cores < 1 or args.seconds <= 0:
        raise ValueError("--cores and --seconds must be positive")
    file = args.timings or timings_file(study.name)
    if args.timings and not file.exists():
        raise FileNotFoundError(f"there is no file of timings {file}")
    kept = read_timings(file) if file.exists() and not args.again else Timings(machine="")
    timings = kept if args.timings else measure(study, kept, args.seconds, file)
    show(study, timings, args.cores, Screen())
    return 0


def measure(study: Study, timings: Timings, budget: float, file: Path) -> Timings:
    """Add what is missing to the timings, and write them after each measurement."""
    wanted = [*_missing(study, study.pretrainings(), timings), *_missing(study, study.runs(), timings)]
    if not wanted:
        return timings
    _check_prepared(study, wanted)
    from bench.protocol import timing  # here, because known timings need none of torch's start-up time

    imports = timing.start_seconds()
    timings = replace(timings, machine=timing.machine_name(study.settings.train.device))
    for number, run in enumerate(wanted, start=1):
        print(f"{number} of {len(wanted)}: {run.name}", file=sys.stderr, flush=True)
        _measure_one(study, run, timings, imports, budget, timing)
        write_timings(file, timings)
    return timings


def _check_prepared(study: Study, runs: Iterable[Run]) -> None:
    """Raise FileNotFoundError, before minutes go into other runs, naming the data that are to be prepared first."""
    pictured = [run.dataset for run in runs if run.kind == "classification"]
    names = dict.fromkeys([*pictured, *(study.settings.experiments.other_data if pictured else [])])
    absent = [name for name in names if not is_prepared(name)]
    if absent:
        raise FileNotFoundError(
            f"learners are timed on the data of the study: first run `python -m bench prepare {shlex.join(absent)}`"
        )


def _missing(study: Study, runs: Iterable[Run], timings: Timings) -> list[Run]:
    """One run of each kind of work that has not been measured."""
    first: dict[str, Run] = {}
    for run in runs:
        tested = isinstance(run, Pretraining) or testing_key(study, run) in timings.testing
        key = training_key(study, run)
        if key not in timings.training or not tested:
            first.setdefault(key, run)
    return list(first.values())


def _measure_one(
    study: Study, run: Run, timings: Timings, imports: float, budget: float, timing: Any
) -> None:
    """Measure the training and the test of a run. One that fails is named and left out."""
    job = study.training_job(run)

    def attempt(what: str, measure: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return timing.in_own_process(measure, *arguments, imports, budget)
        except RuntimeError as error:
            print(f"{run.name}: {what} could not be timed: {error}", file=sys.stderr, flush=True)
            return None

    if timed := attempt("training", timing.time_training, job):
        timings.training[training_key(study, run)] = timed
    if not isinstance(run, Pretraining):
        if timed := attempt("test", timing.time_test, run, job, study.testing_job(run)):
            timings.testing[testing_key(study, run)] = timed


@dataclass
class Jobs:
    """Jobs of one row of the table. training, testing: seconds of all of them; unknown: runs that were not measured."""

    runs: int = 0
    training: float = 0.0
    testing: float = 0.0
    memory_mb: float = 0.0
    written: float = 0.0
    unknown: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of all jobs."""
        return self.training + self.testing

    def add(self, training: Cost | None, testing: Cost | None) -> None:
        """Count a run; testing is None for a pretraining."""
        self.runs += 1
        for cost in (training, testing):
            if cost:
                self.memory_mb = max(self.memory_mb, cost.memory_mb)
                self.written += cost.written
        self.training += training.seconds if training else 0.0
        self.testing += testing.seconds if testing else 0.0


def by_learner(study: Study, timings: Timings) -> dict[str, Jobs]:
    """Jobs of the study by learner, pretrainings among them."""
    found: dict[str, Jobs] = defaultdict(Jobs)
    for run in [*study.pretrainings(), *study.runs()]:
        jobs, tested = found[run.algorithm], not isinstance(run, Pretraining)
        training = training_cost(study, run, timings)
        testing = testing_cost(study, run, timings) if tested else None
        jobs.add(training, testing)
        jobs.unknown += training is None or (tested and testing is None)
    return dict(found)


def chains(study: Study, timings: Timings) -> list[tuple[float, list[float]]]:
    """Jobs that wait for one another: seconds of a pretraining (0 without one), and of the runs that start from it.

    The training and the test of a run follow each other and are counted as one.
    """
    seconds: dict[Run | None, list[float]] = defaultdict(list)
    for run in study.runs():
        costs = (training_cost(study, run, timings), testing_cost(study, run, timings))
        seconds[study.pretraining(run)].append(sum(cost.seconds for cost in costs if cost))
    found = []
    for shared, runs in seconds.items():
        first = training_cost(study, shared, timings) if shared else None
        found.append((first.seconds if first else 0.0, runs))
    return found


def wall_seconds(found: list[tuple[float, list[float]]], cores: int) -> float:
    """Seconds until all jobs have ended on so many cores, the longest waiting jobs first."""
    ready = [(0.0, -seconds) for first, runs in found if not first for seconds in runs]
    free = [0.0] * cores
    for first, runs in sorted(found, key=lambda chain: -chain[0]):
        if first:
            end = heapq.heappop(free) + first
            heapq.heappush(free, end)
            ready += [(end, -seconds) for seconds in runs]
    end = max(free)
    for start, seconds in sorted(ready):
        finished = max(heapq.heappop(free), start) - seconds
        heapq.heappush(free, finished)
        end = max(end, finished)
    return end


def show(study: Study, timings: Timings, cores: int, console: Screen) -> None:
    """Print a row per learner, the sums of the families, and what the study takes in all."""
    learners, families = by_learner(study, timings), defaultdict(float)
    table = Table(
        title=f"{study.title}, timed on {timings.machine}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("learner")
    for column in ("runs", "training", "test", "all runs", "memory"):
        table.add_column(column, justify="right")
    for name, jobs in sorted(learners.items(), key=lambda item: -item[1].seconds):
        families[study.cards[name].family] += jobs.seconds
        training, testing = duration(jobs.training / jobs.runs), duration(jobs.testing / jobs.runs)
        memory = f"{jobs.memory_mb / 1e3:.1f} GB"
        table.add_row(study.title_of(name), str(jobs.runs), training, testing, duration(jobs.seconds), memory)
    console.print(table)
    found = chains(study, timings)
    total, longest = sum(families.values()), max(first + max(runs) for first, runs in found)
    shares = ", ".join(f"{family} {duration(seconds)}" for family, seconds in families.items())
    console.print(f"\nTraining and test are means over a learner's runs. Families: {shares}")
    console.print(
        f"In all {duration(total)} of computing: about {duration(wall_seconds(found, cores))} with {cores} jobs at a time; "
        f"the longest run takes {duration(longest)}. "
        f"Disk: {sum(jobs.written for jobs in learners.values()) / 1e6:.0f} MB."
    )
    if unknown := sum(jobs.unknown for jobs in learners.values()):
        console.print(f"Not counted: {unknown} runs that have not been timed")
