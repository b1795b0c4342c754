"""Synthetic runs for the reference results: a study, its list, and a README to fill."""

from pathlib import Path

from bench.study.study import load_study
from tests.synthetic import make_study

ROOT = Path(__file__).parents[1]
DIVERGED = "omniglot/5way_1shot/maml/seed1"
EMPTY = "# A title\n\n<!-- findings:begin -->\nold\n<!-- findings:end -->\n\n<!-- reference:begin -->\n<!-- reference:end -->\n\nThe end.\n"
RECORDS = "# Speed\n\n<!-- records:begin -->\nold\n<!-- records:end -->\n"
LEARNERS = ("pixel_nn", "protonet", "maml")


def synthetic(root: Path) -> Path:
    """Finished runs on a data set with published values, and a list that names them all; the study's file."""
    (root / "README.md").write_text(EMPTY)
    (root / "benchmarks").mkdir()
    (root / "benchmarks" / "README.md").write_text(RECORDS)
    study = make_study(
        root,
        algorithms=LEARNERS,
        datasets={"omniglot": {"ways": [5], "shots": [1]}},
        shifts={"smear": (1, 5)},
        diverged=[DIVERGED],
    )
    runs = [run.name for run in load_study(study).runs()]
    write_list(study, *runs)
    return study


def write_list(study: Path, *runs: str) -> Path:
    path = study.parent / "reference.yaml"
    path.write_text("".join(f"- {{study: {study}, run: {run}}}\n" for run in runs))
    return path


def folder(algorithm, seed):
    return Path("results/synthetic/omniglot/5way_1shot") / algorithm / f"seed{seed}"


def kept(algorithm, seed):
    return Path("results/reference", *folder(algorithm, seed).parts[1:])
