"""Make the reference results, which are committed under results/reference/: `python -m bench reference`.

Works through the list config/reference.yaml: prepares, trains and tests each run that has no reference result yet, and
adds it: its records, its episodes, its calibration and its learning curve. `--report` writes the tables and pages.
"""

import argparse
import sys
from pathlib import Path

from rich.table import Table

from bench.report.page import build_report
from bench.results.reference_list import FILE, Entry, KeptStudy, listed_studies, read_list
from bench.results.reference_store import add_run, is_kept, kept_folder, reference_results
from bench.results.rerun import call, test_again
from bench.results.run_folder import read_run
from bench.statistics.claims import write_claims
from bench.statistics.export import export
from bench.statistics.summarize import summarize
from bench.study.run import reports_root
from bench.study.screen import Screen
from bench.study.study import Study
from tasks.prepared import is_prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench reference`."""
    parser.add_argument("list", nargs="?", default=FILE, help="YAML list of runs, in order of priority")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", dest="show", action="store_true", help="only print what is done and what is pending"
    )
    what.add_argument(
        "--add",
        metavar="FOLDER",
        nargs="+",
        help="only add these trained run folders; those without a test are tested by the code of now",
    )
    what.add_argument("--report", action="store_true", help="only write tables and pages of what is there")
    parser.add_argument("--weights", action="store_true", help="with --add: keep the model, too")


def main(args: argparse.Namespace) -> int:
    """Add runs, print the list, or do what is pending."""
    entries = read_list(Path(args.list))
    if args.add:
        studies = {study.name: study for study in listed_studies(Path(args.list))}
        for folder in args.add:
            print(f"added {add_run(tested(Path(folder), studies), args.weights)}")
        return 0
    if args.report:
        made = [study for study in listed_studies(Path(args.list)) if study.runs()]
        for study in made:
            write_report(study, tidy=study is made[0])
        return 0
    if args.show:
        show(entries, Screen())
        return 0
    return work(entries)


def tested(folder: Path, studies: dict[str, Study]) -> Path:
    """Return the folder of a run with a test; a run without one is copied and tested as its study says.

    Its training may be older than the code of now: the learner has the hyper-parameters of its record.
    """
    result = read_run(folder)
    if result.run is None or result.test is not None:
        return folder  # `add_run` says what is missing
    study = studies.get(result.run["study"])
    if study is None:
        raise ValueError(f"{folder}: no study of the list is called {result.run['study']!r}")
    return test_again(folder, study)


def write_report(study: KeptStudy, tidy: bool) -> None:
    """Write tables, claims and page of the reference results of a study, and its tidy table where asked for.

    The table repeats the kept episodes in another form, so only the study that the README shows has it in the repository,
    without the scores of calibration that its page does not sum up.
    """
    with reference_results():
        summarize(study)
        write_claims(study)
        page = build_report(study)
        if tidy:
            export(study, reports_root() / study.name / "tidy.parquet", summed_up=True)
    print(f"wrote {page}", flush=True)


def work(entries: list[Entry]) -> int:
    """Do what is pending, in order. Return 1 if a run failed (the others are done), 130 after SIGTERM or Ctrl-C."""
    failed = []
    for entry in entries:
        if is_kept(entry.run):
            continue
        print(f"reference: {entry.run_name} of {entry.study.origin}", flush=True)
        code = finish(entry)
        if code == 130:
            return 130
        if code:
            failed.append(entry.run_name)
            print(f"reference: {entry.run_name} failed (see above); next run", file=sys.stderr)
        else:
            print(f"reference: added {add_run(entry.run.folder)}", flush=True)
    print(
        f"reference: {len(failed)} of {len(entries)} runs failed: {', '.join(failed)}"
        if failed
        else "reference: done"
    )
    return 1 if failed else 0


def finish(entry: Entry) -> int:
    """Run the jobs that a run still needs, each in a process of its own; return the first exit code that is not 0."""
    result = read_run(entry.run.folder)
    commands = []
    if result.run is None:
        if entry.run.kind == "classification" and not is_prepared(entry.run.dataset):
            commands.append(["prepare", entry.run.dataset])
        pretraining = entry.study.pretraining(entry.run)
        if pretraining and read_run(pretraining.folder).run is None:
            commands.append(["train", entry.study.origin, pretraining.name])
        commands.append(["train", entry.study.origin, entry.run_name])
    if not result.tested:
        commands.append(["test", entry.study.origin, entry.run_name])
    for command in commands:
        code = call([sys.executable, "-m", "bench", *command])
        if code:
            return code
    return 0


def show(entries: list[Entry], console: Screen) -> None:
    """Print the list, with the state of each run and its share of the published tasks."""
    table = Table(box=None, pad_edge=False)
    for column in ("run", "study", "state", "share of published tasks"):
        table.add_column(column, overflow="fold")
    done = [is_kept(entry.run) for entry in entries]
    for entry, kept in zip(entries, done, strict=True):
        share = read_run(kept_folder(entry.run)).run["training"]["budget_share"] if kept else None
        shown = "-" if share is None else f"{share:.3f}"
        table.add_row(entry.run_name, entry.run.study, "done" if kept else "pending", shown)
    console.print(table)
    console.print(f"\n{sum(done)} of {len(entries)} done")
