"""Results that Snakemake must make again, and times of files that came from elsewhere. No torch: part of every plan."""

import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from bench.paths import results_root
from bench.protocol.outdated import Outdated
from bench.results.run_folder import RunResult, readable
from bench.results.schema import TEST_FILES, TRAINING_FILES
from bench.study.run import Pretraining, Run
from bench.study.study import Study
from tasks.catalogue import path_name, prepared_root

TRAINED, TESTED = ("run.json", *TRAINING_FILES), ("test.json", *TEST_FILES)
SHOWN = 3
"""Outdated runs that are named; of the others, only the number is told."""


def stale_results(study: Study, summaries: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return why and which output files of a study's trainings and tests have to be made again, and say so.

    summaries: files made from all runs. Where one exists, a run without results is among them: Snakemake does not look for
    what a finished file was once made from.
    """
    outdated, summarised = Outdated(study), any(Path(file).exists() for file in summaries)
    found = []
    for run in [*study.pretrainings(), *study.runs()]:
        result = readable(run.folder)
        reason, names = _stale(outdated, run, result, summarised)
        if reason:
            found.append((f"{run.name}: {reason}", [str(run.folder / name) for name in names]))
        elif result.run is not None:
            _adopt(study, run, result)
    if found:
        more = f"\n  ... and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        lines = "".join(f"\n  {reason}" for reason, _ in found[:SHOWN])
        print(f"Results that are made again where the target needs them:{lines}{more}", file=sys.stderr)
    return found


def _stale(outdated: Outdated, run: Run, result: RunResult, summarised: bool) -> tuple[str, tuple[str, ...]]:
    """Why and which files of a run have to be made again."""
    shared = isinstance(run, Pretraining)
    if result.damage:
        return result.damage, TRAINED if shared else (*TRAINED, *TESTED)
    if result.run is None:
        return ("its results are missing" if summarised and not shared else ""), TRAINED
    reason = outdated.training(run, result)
    if reason or shared:
        return reason, TRAINED
    if result.test is None:
        return ("its test is missing" if summarised else ""), TESTED
    return outdated.test(run, result), TESTED


def _adopt(study: Study, run: Run, result: RunResult) -> None:
    """Let the files of a result that Snakemake does not know be no older than what they were made from.

    They came from another machine, or without their times. Their content has been compared; Snakemake looks at times.
    """
    if _known_to_snakemake(run.folder / "run.json"):
        return
    shared = study.pretraining(run)
    inputs = [shared.folder / name for name in TRAINED] if shared else []
    data = {run.dataset, *study.settings.experiments.other_data} if run.kind == "classification" else set()
    inputs += [prepared_root() / path_name(name).replace(":", "_") / "meta.json" for name in sorted(data)]
    benchmarks = results_root() / study.name / "benchmarks"
    for verb, names in (("train", TRAINED), ("test", TESTED if result.test is not None else ())):
        # Snakemake counts a job's benchmark among its outputs.
        outputs = [*(run.folder / name for name in names), benchmarks / verb / f"{run.name}.jsonl"]
        newest = max((path.stat().st_mtime_ns for path in inputs if path.exists()), default=0)
        for path in outputs:
            if path.exists() and path.stat().st_mtime_ns < newest:
                try:
                    os.utime(path, ns=(newest, newest))
                except OSError:  # results that cannot be written: Snakemake says so if it wants to make them
                    return
        inputs += outputs


def _known_to_snakemake(path: Path) -> bool:
    """Whether Snakemake has a record of having made a file: its name in base 64, cut into names of folders if it is long."""
    name = urlsafe_b64encode(str(path).encode()).decode()
    longest = os.pathconf(".", "PC_NAME_MAX") - 1
    parts = [name[start : start + longest] for start in range(0, len(name), longest)]
    return Path(".snakemake", "metadata", *(f"@{part}" for part in parts[:-1]), parts[-1]).exists()
