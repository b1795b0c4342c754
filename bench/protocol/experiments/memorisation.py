"""Training classes with the labels of their partition: was the support read, or were labels memorised?

A learner that reads the support answers every query wrongly where the labels of the support are moved, and guesses
before adaptation; a learner that knows the labels by heart is right all the same. The tasks are tuples, which have one
class of each group, too: the same for learners trained on groups, on tuples, and on any tasks (the control).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.choices import fixed_labels, relabelled
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "boolean",
    "default": False,
    "description": "Training classes with fixed labels, and with the labels of the support moved: was the support read?",
}
TITLES = {"training": "Training classes", "training_permuted": "Training classes, support labels moved"}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score with the support as it is, with its labels moved, and before adaptation.

    Learners trained on fixed labels of another way have memorised those of another partition, and are left out.
    """
    fixed = getattr(learner.params, "train_labels", "shuffled") != "shuffled"
    other_partition = fixed and (learner.params.train_way or frozen.way) != frozen.way
    if other_partition or not (learner.trainable or learner.pretraining):
        return
    mode, task = reported_mode(learner, job), (frozen.way, frozen.shot)
    sizes = (job.experiments.episodes, *task, job.query)
    episodes = source.frozen(
        "train", *sizes, job.study_seed, choice=fixed_labels(source.training_classes, frozen.way)
    )
    for tasks, chosen in (("training", episodes), ("training_permuted", relabelled(episodes))):
        scores = source.score(learner, "train", chosen, mode)
        yield Condition(*task, mode, test_tasks=tasks), chosen.digest, scores
    if learner.test_steps is not None:
        with learner.testing(steps=0):
            scores = source.score(learner, "train", episodes, mode)
        yield Condition(*task, mode, test_tasks="training", test_steps=0), episodes.digest, scores
