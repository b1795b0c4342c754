"""A run of a study and a shared pretraining: their names and folders."""

import os
from dataclasses import dataclass
from pathlib import Path

import algos
from bench.paths import results_root
from tasks.catalogue import REGRESSION, path_name


def reports_root() -> Path:
    """Folder of reports (env REPORTS_ROOT, default `reports`)."""
    return Path(os.environ.get("REPORTS_ROOT", "reports"))


@dataclass(frozen=True)
class Run:
    """One meta-training and its meta-test: a learner in a setting with a seed."""

    study: str
    dataset: str
    way: int
    shot: int
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        """e.g. `glyphs/5way_1shot/protonet/seed0`: the run's folder below that of its study."""
        return f"{path_name(self.dataset)}/{self.way}way_{self.shot}shot/{algos.name_of(self.algorithm)}/seed{self.seed}"

    @property
    def folder(self) -> Path:
        """Folder of the run's results."""
        return results_root() / f"{self.study}/{self.name}"  # every further part costs a plan as much again

    @property
    def kind(self) -> str:
        """Kind of task: regression or classification."""
        return "regression" if self.dataset in REGRESSION else "classification"

    @property
    def words(self) -> set[str]:
        """Words of a key of the study's `overrides`; a key made only of these words concerns the run."""
        return {algos.name_of(self.algorithm), path_name(self.dataset), f"{self.way}way", f"{self.shot}shot"}


@dataclass(frozen=True)
class Pretraining(Run):
    """A training that several runs share, one per data set and seed; way and shot are those of its validation episodes."""

    @property
    def name(self) -> str:
        return f"{path_name(self.dataset)}/{self.algorithm}/seed{self.seed}"

    @property
    def words(self) -> set[str]:
        return {self.algorithm, path_name(self.dataset)}
