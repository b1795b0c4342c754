"""Tables of a study (`bench.statistics.summarize`), and a word about results that are not of the study, code and data as they are.

Within a workflow there are none: Snakemake makes them again first. By hand, or after a failed job, they are summarised and told.
"""

import argparse
import sys

from bench.protocol.outdated import Outdated
from bench.results.run_folder import readable
from bench.statistics.summarize import summarize
from bench.study.study import Study, load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench summarize`."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")


def main(args: argparse.Namespace) -> int:
    """Write the tables, say where they are and which results are outdated."""
    study = load_study(args.study)
    print(f"wrote {summarize(study)}/")
    if found := outdated(study):
        name, reason = next(iter(found.items()))
        print(
            f"{len(found)} runs of these tables are outdated; the first is {name}: {reason}. Snakemake makes them again",
            file=sys.stderr,
        )
    return 0


def outdated(study: Study) -> dict[str, str]:
    """Why the results of a run are not those of the study, code and data as they are now, by the run's name."""
    checks = Outdated(study)
    reasons = {run.name: checks.why(run, readable(run.folder)) for run in study.runs()}
    return {name: reason for name, reason in reasons.items() if reason}
