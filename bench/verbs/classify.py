"""Classify your own pictures with a trained learner: `python -m bench classify RUN --support DIR --query DIR`.

The support folder has a folder per class with a few pictures each. Writes predictions.csv and sheet.png.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.report.numbers import counted
from bench.use import sheet
from bench.use.learner import load_learner
from tasks.preparation.archives import DataError
from tasks.preparation.containers import Container
from tasks.preparation.decode import decode_shown
from tasks.preparation.folder_layout import find_pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("run", type=Path, help="folder of a trained run, e.g. results/.../maml/seed0")
    parser.add_argument("--support", type=Path, required=True, help="a folder per class, a few pictures each")
    parser.add_argument(
        "--query", type=Path, required=True, help="the picture to classify, or a folder of them"
    )
    parser.add_argument("--out", type=Path, default=Path("classified"), help="folder of the results")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Every picture is read before the learner is loaded: errors name the file."""
    support, queries = examples(args.support), pictures(args.query)
    for file in [*(file for files in support.values() for file in files), *queries]:
        decode_shown(file.read_bytes(), str(file))
    learner = load_learner(args.run)
    files = [file for members in support.values() for file in members]
    labels = [name for name, members in support.items() for _ in members]
    found = learner.adapt(files, labels).predict(queries)
    args.out.mkdir(parents=True, exist_ok=True)
    top = args.query if args.query.is_dir() else args.query.parent
    names = [file.relative_to(top).as_posix() for file in queries]
    write(args.out / "predictions.csv", names, learner.classes, found)
    sheet.draw(args.out / "sheet.png", support, queries, learner.classes, found)
    print(f"{learner.title}: {counted([len(queries)], 'picture')}, {len(support)} classes; see {args.out}/")
    return 0


def examples(folder: Path) -> dict[str, list[Path]]:
    """Pictures by class. DataError (a ValueError) names a folder that is empty or holds pictures of no class."""
    found: dict[str, list[Path]] = defaultdict(list)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    try:
        listed = find_pictures(folder).pictures
    except DataError as error:
        if len({Path(name).parent for name in Container(folder).images}) != 1:
            raise
        raise ValueError(
            f"{folder}: all its pictures lie in one folder; give a folder per class, and at least two"
        ) from error
    for picture in listed:
        found[picture.name].append(folder / picture.source.name)
    if len(found) < 2:
        raise ValueError(f"{folder} holds {len(found)} class; give a folder per class, and at least two")
    return dict(sorted(found.items()))


def pictures(path: Path) -> list[Path]:
    """The picture at a path, or every picture below a folder, sorted by name. ValueError: there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    found = [path / name for name in Container(path).images]
    if not found:
        raise ValueError(f"{path} holds no picture (.png, .jpg, ...)")
    return found


def write(path: Path, names: list[str], classes: list[str], p: np.ndarray) -> None:
    """Write a row per query: file, the likeliest class, and the probability of each class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "predicted", *classes])
        for name, row in zip(names, p, strict=True):
            table.writerow([name, classes[int(row.argmax())], *(f"{value:.6f}" for value in row)])
