"""Other numbers of gradient steps on shifted tasks, of learners with an inner loop: how much does adaptation mend?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.protocol.conditions import Result, highest, reported_mode, shifted_split, strengths
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "uniqueItems": True,
    "default": [],
    "description": "Gradient steps at test on wholly shifted tasks, each shift at its highest severity; see also `steps`",
}
TITLES = {}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score the first episodes of the setting, whose clean counterparts after as many steps come first.

    Those that the experiment `steps` tests are not tested again: its episodes are the first of the same, too.
    """
    if learner.test_steps is None:
        return
    mode, split, embed = reported_mode(learner, job), source.part("test"), Embedder(learner)
    fewer = frozen.head(min(job.shifts.episodes, job.experiments.episodes))
    for steps in [n for n in job.experiments.steps_under_shift if n not in job.experiments.steps]:
        with learner.testing(steps=steps):
            scores = evaluate_images(learner, fewer, split, split, mode, embed)
        yield Condition(frozen.way, frozen.shot, mode, test_steps=steps), fewer.digest, scores
    for shift, severity, value in strengths(job.shifts, source.data.meta["imagery"]):
        if severity == 0 or severity != highest(job.shifts, shift):
            continue
        moved = shifted_split(split, fewer, shift, value)
        for steps in job.experiments.steps_under_shift:
            with learner.testing(steps=steps):
                scores = evaluate_images(learner, fewer, moved, moved, mode, embed)
            own = Condition(frozen.way, frozen.shot, mode, shift, severity, value, "task", test_steps=steps)
            yield own, fewer.digest, scores
