"""Runs the experiments that a study asks for; see bench/protocol/experiments/."""

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.paths import modules_in
from bench.protocol.conditions import Result
from bench.protocol.sources import ImageSource
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

TRAINED, INITIAL = "trained", "initial"
"""Weights that an experiment tests: `WEIGHTS` of its file, `trained` where it declares none."""


def other_tasks(
    learner: MetaLearner,
    source: ImageSource,
    frozen: FrozenEpisodes,
    job: "TestingJob",
    weights: str = TRAINED,
) -> Iterator[Result]:
    """Score on the tasks of every experiment that is switched on and tests the weights that the learner now has."""
    for name in modules_in("bench.protocol.experiments"):
        experiment = importlib.import_module(name)
        wanted = getattr(job.experiments, name.rpartition(".")[2])
        if wanted and getattr(experiment, "WEIGHTS", TRAINED) == weights:
            yield from experiment.results(learner, source, frozen, job)
