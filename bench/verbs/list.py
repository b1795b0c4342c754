"""The algorithms: `python -m bench list`, or `python -m bench list maml` for one algorithm's hyper-parameters."""

import argparse
import inspect
from dataclasses import fields

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

import algos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "algorithm",
        nargs="?",
        help="name (also of a pretraining), or path of a file: show its hyper-parameters and presets",
    )


def main(args: argparse.Namespace) -> int:
    console = Console()
    if args.algorithm:
        show_one(console, args.algorithm)
    else:
        console.print(overview())
    return 0


def overview() -> Table:
    """One row per algorithm file, a section per family, made to be read in 80 columns: no word is cut."""
    whole = [Column(header, no_wrap=True) for header in ("name", "tasks", "paper's mode")]
    columns = [whole[0], Column("title", min_width=14), *whole[1:], "citation"]
    table = Table(*columns, box=SIMPLE, padding=(0, 1, 0, 0))
    learners = {name: algos.load(name) for name in algos.discover()}
    for family in dict.fromkeys(learner.family for learner in learners.values()):
        table.add_row(f"[bold]{family}[/bold]")
        for name, learner in learners.items():
            if learner.family == family:
                tasks = "\n".join(learner.tasks)
                table.add_row(name, learner.title, tasks, learner.paper_mode, learner.citation)
        table.add_section()
    return table


def show_one(console: Console, algorithm: str) -> None:
    """Docstring of the file, hyper-parameters with their defaults, published presets."""
    learner = (
        algos.load_pretraining(algorithm) if algorithm in algos.pretrainings() else algos.load(algorithm)
    )
    console.print(inspect.getmodule(learner).__doc__.strip(), highlight=False, markup=False)
    table = Table("hyper-parameter", "default", "meaning", title="\nHyper-parameters", title_justify="left")
    for entry in fields(learner.Params):
        choices = entry.metadata["choices"]
        meaning = entry.metadata["doc"] + (f" ({', '.join(choices)})" if choices else "")
        table.add_row(entry.name, str(entry.default), meaning)
    console.print(table)
    for task, values in learner.presets.items():
        listed = ", ".join(f"{key}={value}" for key, value in values.items())
        console.print(f"preset [bold]{task}[/bold]: {listed}", highlight=False)
