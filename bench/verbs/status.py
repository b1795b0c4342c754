"""The state of every run of a study: `python -m bench status config/quick.yaml`."""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.paths import CHECKPOINT, CHECKPOINT_SECONDS
from bench.protocol.outdated import Outdated
from bench.results.checkpoint_summary import read_progress
from bench.results.estimate import (
    Timings,
    duration,
    read_timings,
    testing_cost,
    timings_file,
    training_cost,
)
from bench.results.metrics import METRICS, Metric, main_metric
from bench.results.run_folder import read_run
from bench.results.run_lock import NAME as LOCK
from bench.results.schema import DIVERGED, FINISHED, MISSING, OK, UNTESTED, UNTRAINED
from bench.study.run import Pretraining, Run
from bench.study.study import Study, load_study

if TYPE_CHECKING:
    from rich.table import Table

    from bench.study.screen import Screen

OUTDATED = "outdated"
STYLES = {
    OK: "green",
    UNTRAINED: "green",
    "running": "bold cyan",
    UNTESTED: "cyan",
    "stopped": "yellow",
    MISSING: "dim",
    OUTDATED: "yellow",
    DIVERGED: "bold red",
    "unreadable": "bold red",
}
LARGE = 500
"""Runs up to which a terminal gets a coloured table of its width."""
LIVE_SECONDS = 3 * CHECKPOINT_SECONDS
"""Age in seconds up to which a checkpoint says that its training still runs."""


@dataclass(frozen=True)
class State:
    """State of a run.

    status: as in runs.csv, or `running` (a process holds its folder and its checkpoint is fresh), `stopped` (it can resume from its checkpoint),
    `outdated` (Snakemake would make it again) or `unreadable` (a damaged file). score: the best on meta-validation, by the main metric of the
    kind of task. note: what went wrong, if anything.
    """

    run: Run
    status: str
    step: int | None = None
    score: float | None = None
    seconds: float | None = None
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all models, results and prepared data, and compare them with their recorded digests",
    )


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    show(study, states(study, args.verify), _terminal())
    if args.verify:
        from tasks.preparation.verified import check_prepared

        check_prepared(*study.settings.datasets, *study.settings.experiments.other_data, content=True)
    return 0


def _terminal() -> "Screen | None":
    """The terminal, if the output goes to one."""
    if not sys.stdout.isatty():
        return None
    from bench.study.screen import Screen  # here: rich takes longer to load than a study does to read

    return Screen()


def states(study: Study, verify: bool = False) -> list[State]:
    """The state of each shared pretraining and each run of the study, in its order. verify: read every file of the runs."""
    outdated = Outdated(study)
    return [state_of(run, outdated, verify) for run in [*study.pretrainings(), *study.runs()]]


def state_of(run: Run, outdated: Outdated, verify: bool = False) -> State:
    """State of a run by the files in its folder; a damaged file is a state of its own, not the end of the table."""
    try:
        result = read_run(run.folder)
        if result.run is None:
            return _unfinished(run)
        reason = outdated.why(run, result)
        if verify and not reason:
            result.check()
    except ValueError as error:
        return State(run, "unreadable", note=str(error))
    training = result.run["training"]
    numbers = (training["steps"], training["best_val_score"], training["seconds"])
    note = result.reason or result.outdated
    if reason:
        notes = [f"{reason}; snakemake makes it again", *filter(None, [note])]
        return State(run, OUTDATED, *numbers, "; ".join(notes))
    # Pretrainings are not tested.
    status = result.run["status"] if isinstance(run, Pretraining) else result.status
    return State(run, status, *numbers, note)


def _unfinished(run: Run) -> State:
    path = run.folder / CHECKPOINT
    if not path.exists():
        return State(run, MISSING)
    try:
        progress = read_progress(path)
    except ValueError as error:
        return State(run, "unreadable", note=f"{error}; the training starts from its first step")
    # The lock file goes when a training ends or is stopped; one that was killed leaves it, so that the age counts, too.
    alive = (run.folder / LOCK).exists() and age(path) < LIVE_SECONDS
    status = "running" if alive else "stopped"
    best = max(progress.scores, key=lambda score: _metric(run).sign * score, default=None)
    return State(run, status, progress.step, best, progress.seconds)


def _metric(run: Run) -> Metric:
    return METRICS[main_metric(run.kind)]


def age(path: Path) -> float:
    """Seconds since the file was written."""
    return time.time() - path.stat().st_mtime


def show(study: Study, found: list[State], terminal: "Screen | None" = None) -> None:
    """Print the table, one row per run, then the counts and what runs now; uncut lines where there is no terminal."""
    say = terminal.print if terminal else print
    if terminal and len(found) <= LARGE:
        say(_table(study, found))
    else:
        print(_plain(study, found))
    counts = Counter(state.status for state in found)
    finished = sum(counts[status] for status in FINISHED)
    parts = ", ".join(f"{counts[status]} {status}" for status in STYLES if counts[status])
    say(f"\n{finished} of {len(found)} runs finished ({parts})")
    if timings_file(study.name).exists():
        seconds = seconds_left(study, found, read_timings(timings_file(study.name)))
        say(f"left: about {duration(seconds)} of computing, by the timings of `python -m bench estimate`")
    running = [state for state in found if state.status == "running"]
    for state in running:
        say(f"running now: {state.run.name}, checkpoint {age(state.run.folder / CHECKPOINT):.0f} s old")


def seconds_left(study: Study, found: list[State], timings: Timings) -> float:
    """Seconds of the jobs that are still to be done; what has not been timed is not counted."""
    left = 0.0
    for state in found:
        if state.status in FINISHED:
            continue
        costs = [] if state.status == UNTESTED else [training_cost(study, state.run, timings)]
        costs += [] if isinstance(state.run, Pretraining) else [testing_cost(study, state.run, timings)]
        left += sum(cost.seconds for cost in costs if cost)
        left -= (state.seconds or 0.0) if state.status in ("running", "stopped") else 0.0
    return max(left, 0.0)


def _best(found: list[State]) -> str:
    """What the numbers of the column of scores are."""
    metrics = [METRICS[name] for name in dict.fromkeys(_metric(state.run).name for state in found)]
    return " / ".join(f"val {metric.name} {metric.unit}".strip() for metric in metrics)


def _table(study: Study, found: list[State]) -> "Table":
    """The table, coloured and fitted to the terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=study.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, overflow="fold")
    table.add_column("status")
    for column in ("step", _best(found), "seconds"):
        table.add_column(column, justify="right")
    table.add_column("note", overflow="fold")
    for state in found:
        table.add_row(
            state.run.name,
            f"[{STYLES[state.status]}]{state.status}[/]",
            _number(state.step),
            _number(state.score, _metric(state.run)),
            _number(state.seconds),
            escape(state.note),
        )
    return table


def _plain(study: Study, found: list[State]) -> str:
    """The title, and the table as uncut lines for other programs; laying out ten thousand cells would take rich a minute."""
    rows = [("run", "status", "step", _best(found), "seconds", "note")]
    for state in found:
        score = _number(state.score, _metric(state.run))
        rows.append(
            (state.run.name, state.status, _number(state.step), score, _number(state.seconds), state.note)
        )
    run, status, *numbers = (max(len(row[column]) for row in rows) for column in range(5))
    form = f"{{:<{run}}}  {{:<{status}}}  " + "  ".join(f"{{:>{width}}}" for width in numbers) + "  {}"
    return "\n".join([study.title, *(form.format(*row).rstrip() for row in rows)])


def _number(value: float | None, metric: Metric | None = None) -> str:
    """A count, or a score with one digit more than in the report, so that small improvements show."""
    if value is None:
        return "-"
    return f"{metric.scale * value:.{metric.decimals + 1}f}" if metric else f"{value:.0f}"
