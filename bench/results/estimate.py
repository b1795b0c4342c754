"""What the jobs of a study take on a machine: timings that `bench estimate` has measured, and what follows from them.

Timings are kept by a digest of what a job does. The seed is no part of it, and neither is the machine: a file of timings that
were measured on another machine answers what the study would take there.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.paths import results_root
from bench.results.files import ResultError, write_text
from bench.study.jobs import TestingJob, TrainingJob
from bench.study.run import Run
from bench.study.study import Study

NOT_PART = ("seed", "minutes", "validate_every", "threads", "device")
"""Parts of a training job on which the time of an update and of a validation do not depend, or which follow from the machine."""
BYTES_PER_ROW = 40
"""Bytes of an episode's scores in episodes.parquet."""


@dataclass(frozen=True)
class TrainingTime:
    """Seconds of the parts of a training. start: imports and data; finish: once, at the end. memory_mb: peak of the process.

    updates: number of meta-updates. model_bytes: size of the weights.
    """

    start: float
    update: float
    updates: int
    validation: float
    finish: float
    memory_mb: float
    model_bytes: int

    def seconds(self, validate_every: int, minutes: float | None) -> float:
        """Seconds of the whole training."""
        updating, validations = self.update * self.updates, math.ceil(self.updates / validate_every)
        limit = 60 * minutes if minutes else math.inf
        if updating > limit:
            updating, validations = limit, math.ceil(validations * limit / updating)
        return self.start + updating + validations * self.validation + self.finish


@dataclass(frozen=True)
class MetaTestTime:
    """Seconds of a meta-test over all conditions, and its peak memory. rows: scores that it writes, one per episode."""

    start: float
    scoring: float
    memory_mb: float
    rows: int

    @property
    def seconds(self) -> float:
        """Seconds of the whole test."""
        return self.start + self.scoring


@dataclass
class Timings:
    """Timings by the digest of a job. machine: name of the processor or GPU on which they were measured."""

    machine: str
    training: dict[str, TrainingTime] = field(default_factory=dict)
    testing: dict[str, MetaTestTime] = field(default_factory=dict)


def timings_file(study: str) -> Path:
    """File in which the timings of a study are kept."""
    return results_root() / study / "timings.json"


def read_timings(path: Path) -> Timings:
    """Read a file of timings. ResultError names a damaged file and the remedy."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Timings(
            str(content["machine"]),
            {key: TrainingTime(**entry) for key, entry in content["training"].items()},
            {key: MetaTestTime(**entry) for key, entry in content["testing"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{path} is not a file of timings ({error!r}): delete it and run `python -m bench estimate` again"
        ) from error


def write_timings(path: Path, timings: Timings) -> Path:
    """Write a file of timings."""
    return write_text(path, json.dumps(asdict(timings), indent=1, sort_keys=True) + "\n")


def training_key(study: Study, run: Run) -> str:
    """Digest of what the training of a run does, whatever its seed."""
    return _digest(study.training_job(run))


def testing_key(study: Study, run: Run) -> str:
    """Digest of what the training and the test of a run do, whatever its seed."""
    return _digest(study.training_job(run), study.testing_job(run))


def _digest(*jobs: TrainingJob | TestingJob) -> str:
    plain = json.dumps([_without_seed(job.as_dict()) for job in jobs], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _without_seed(job: dict[str, Any]) -> dict[str, Any]:
    """A job without what its time does not depend on; of a pretraining, only that there is one."""
    kept = {key: value for key, value in job.items() if key not in NOT_PART}
    return kept | ({"pretraining": True} if kept.get("pretraining") else {})


@dataclass(frozen=True)
class Cost:
    """What one job takes: seconds, peak memory in MB, and bytes that it writes."""

    seconds: float
    memory_mb: float
    written: float


def training_cost(study: Study, run: Run, timings: Timings) -> Cost | None:
    """What the training of a run takes; None where it has not been measured."""
    timed = timings.training.get(training_key(study, run))
    if timed is None:
        return None
    train = study.settings.train
    return Cost(timed.seconds(train.validate_every, train.minutes), timed.memory_mb, timed.model_bytes)


def testing_cost(study: Study, run: Run, timings: Timings) -> Cost | None:
    """What the meta-test of a run takes; None where it has not been measured."""
    timed = timings.testing.get(testing_key(study, run))
    return None if timed is None else Cost(timed.seconds, timed.memory_mb, BYTES_PER_ROW * timed.rows)


def duration(seconds: float) -> str:
    """Seconds in the unit that a reader would choose."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
