"""The algorithms: `python -m bench list`, or `python -m bench list maml` for one algorithm's hyper-parameters."""

import argparse

from rich.box import SIMPLE
from rich.table import Column, Table

import algos
from bench.study.screen import Screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "algorithm",
        nargs="?",
        help="name of an algorithm or a pretraining, or path of a file: show its hyper-parameters and presets",
    )


def main(args: argparse.Namespace) -> int:
    """Print the table of all algorithms, or one algorithm's hyper-parameters. Errors as in `algos.card`."""
    console = Screen()
    if args.algorithm:
        show_one(console, args.algorithm)
    else:
        console.print(overview())
    return 0


def overview() -> Table:
    """One row per algorithm, a section per family. It fits into 80 columns without cutting a word."""
    whole = [Column(header, no_wrap=True) for header in ("name", "tasks", "paper's mode")]
    columns = [whole[0], Column("title", min_width=14), *whole[1:], "citation"]
    table = Table(*columns, box=SIMPLE, padding=(0, 1, 0, 0))
    cards = [algos.card(name) for name in algos.discover()]
    for family in dict.fromkeys(card.family for card in cards):
        table.add_row(f"[bold]{family}[/bold]")
        for card in cards:
            if card.family == family:
                table.add_row(card.name, card.title, "\n".join(card.tasks), card.paper_mode, card.citation)
        table.add_section()
    return table


def show_one(console: Screen, algorithm: str) -> None:
    """Print the docstring of the file, the hyper-parameters with their defaults, and the published presets."""
    shared = algorithm in algos.pretrainings()
    card = algos.pretraining_card(algorithm) if shared else algos.card(algorithm)
    console.print(card.doc.strip(), highlight=False, markup=False)
    table = Table("hyper-parameter", "default", "meaning", title="\nHyper-parameters", title_justify="left")
    for param in card.params.values():
        meaning = param.doc + (f" ({', '.join(map(str, param.choices))})" if param.choices else "")
        table.add_row(param.name, str(param.default), meaning)
    console.print(table)
    for task, values in card.presets.items():
        listed = ", ".join(f"{key}={value}" for key, value in values.items())
        console.print(f"preset [bold]{task}[/bold]: {listed}", highlight=False)
