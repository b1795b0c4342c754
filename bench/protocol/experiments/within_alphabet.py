"""Tasks whose classes share an alphabet and a rotation: harder to tell apart than classes of the whole data set."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.choices import within_groups
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "boolean",
    "default": False,
    "description": "Episodes whose classes share an alphabet",
}
TITLES = {"alphabet": "Within one alphabet"}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score within alphabets, where the data set has one that is large enough."""
    mode, names = reported_mode(learner, job), alphabets(source.part("test"))
    if not names or max(Counter(names).values()) < frozen.way:
        return
    sizes = (job.experiments.episodes, frozen.way, frozen.shot, job.query)
    episodes = source.frozen("test", *sizes, job.study_seed, choice=within_groups(names, frozen.way))
    condition = Condition(frozen.way, frozen.shot, mode, test_tasks="alphabet")
    yield condition, episodes.digest, source.score(learner, "test", episodes, mode)


def alphabets(part: ImageSplit) -> list[str]:
    """Return alphabet and rotation of each class; empty where the data set has no alphabets."""
    names = [f"{name} {c // len(part.base_classes)}" for c, name in enumerate(part.groups)]
    return names if len(set(part.groups)) > 1 else []
