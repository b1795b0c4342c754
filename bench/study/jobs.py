"""What a job of a study depends on: Snakemake repeats a job when this changes, and a checkpoint is good for it only."""

from dataclasses import dataclass
from typing import Any

from bench.study.experiments import Experiments
from bench.study.settings import Shifts


@dataclass(frozen=True)
class TrainingJob:
    """Everything of a study that a meta-training depends on: equal jobs give equal models.

    code: the algorithm whose code is run; a variant's differs from its name, `algorithm`. pretraining: the job whose
    encoder it takes over. minutes and threads decide how long it takes, and where a training with a time limit stops.
    """

    dataset: str
    way: int
    shot: int
    algorithm: str
    seed: int
    code: str
    split: str | None
    study_seed: int
    overrides: dict[str, Any]
    pretraining: "TrainingJob | None"
    minutes: float | None
    validate_every: int
    validation_episodes: int
    threads: int
    device: str
    precision: str

    def as_dict(self) -> dict[str, Any]:
        """The job as plain values, for Snakemake's params and for fingerprints."""
        shared = self.pretraining.as_dict() if self.pretraining else None
        return {**vars(self), "pretraining": shared}  # `asdict` copies every value, of thousands of jobs


@dataclass(frozen=True)
class TestingJob:
    """Everything of a study that a meta-test depends on besides the model."""

    split: str | None
    study_seed: int
    episodes: int
    query: int
    modes: tuple[str, ...]
    shifts: Shifts
    experiments: Experiments

    def as_dict(self) -> dict[str, Any]:
        """The job as plain values, for Snakemake's params and for fingerprints."""
        plain = {"shifts": self.shifts.model_dump(mode="json")}
        plain["experiments"] = self.experiments.model_dump(mode="json")
        return {**vars(self), "modes": list(self.modes), **plain}
