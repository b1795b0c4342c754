"""Test tasks unlike those of meta-training: more shots, other ways, more gradient steps, one alphabet, other data.

And tasks all too like them: training classes, to see whether their labels were memorised.

Each experiment is switched on by its key under `experiments` of a study (workflow/schemas/study.schema.yaml). All run
in the reported mode of the learner only, on frozen episodes of their own.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from algos.base import EmbeddingLearner, MetaLearner
from algos.nets.prototypes import class_means, squared_distances
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images
from bench.protocol.sources import ImageSource
from bench.results.condition import STANDARD, Condition
from tasks import lake_runs
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes

ALPHABET, LAKE, PROTOTYPES, UNTRAINED = "alphabet", "lake", "prototypes", "untrained"
TRAINING, PERMUTED = "training", "training_permuted"

STATISTICS_UPDATES, STATISTICS_TASKS = 40, 4
"""Of a momentum of 0.1, 1.5 % of the first values is left."""


def other_tasks(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, spec: dict
) -> Iterator[Result]:
    """Scores on tasks other than those trained for; what a learner or a data set cannot do is left out."""
    mode = reported_mode(learner, spec)
    for tasks, episodes, split in _task_sets(learner, source, frozen, spec):
        condition = Condition(episodes.way, episodes.shot, mode, test_tasks=tasks)
        yield condition, episodes.digest, evaluate_images(learner, episodes, split, split, mode)
    fewer, split = frozen.head(spec["experiments"]["episodes"]), source.part("test")
    embed = Embedder(learner)
    for steps in spec["experiments"]["steps"] if learner.test_steps is not None else ():
        condition = Condition(frozen.way, frozen.shot, mode, test_steps=steps)
        with learner.testing(steps=steps):
            scores = evaluate_images(learner, fewer, split, split, mode, embed)
        yield condition, fewer.digest, scores
    embeds = isinstance(learner, EmbeddingLearner) and hasattr(
        learner.encoder, "features"
    )  # vectors, not maps
    if spec["experiments"]["prototypes"] and embeds:
        condition = Condition(frozen.way, frozen.shot, mode, test_tasks=PROTOTYPES)
        probe = NearestPrototype(learner)
        yield condition, fewer.digest, evaluate_images(probe, fewer, split, split, mode)
    if spec["experiments"]["memorisation"] and (learner.trainable or learner.pretraining):
        yield from _memorised(learner, source, frozen, spec)


def _memorised(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, spec: dict
) -> Iterator[Result]:
    """Training classes with the labels of their partition: adapted, adapted to wrong labels, and not adapted at all.

    Who reads the support answers every query wrongly where its labels are moved, and guesses before adaptation; who
    knows the labels by heart is right all the same. The tasks are tuples, which have one class of each group, too: the
    same for learners trained on groups, on tuples, and on any tasks, the control. Who was trained on fixed labels of
    another way has memorised those of another partition, and sits out.
    """
    fixed = getattr(learner.params, "train_labels", "shuffled") != "shuffled"
    if fixed and (learner.params.train_way or frozen.way) != frozen.way:
        return
    mode, split, task = reported_mode(learner, spec), source.part("train"), (frozen.way, frozen.shot)
    count, rest = spec["experiments"]["episodes"], (spec["query"], spec["study_seed"])
    episodes = source.frozen("train", count, *task, *rest, fixed_labels=True)
    for tasks, chosen in ((TRAINING, episodes), (PERMUTED, episodes.relabelled())):
        condition = Condition(*task, mode, test_tasks=tasks)
        yield condition, chosen.digest, evaluate_images(learner, chosen, split, split, mode)
    if learner.test_steps is not None:
        condition = Condition(*task, mode, test_tasks=TRAINING, test_steps=0)
        with learner.testing(steps=0):
            scores = evaluate_images(learner, episodes, split, split, mode)
        yield condition, episodes.digest, scores


def untrained(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, spec: dict
) -> Iterator[Result]:
    """The control: the same network before meta-training, on the tasks it is to be trained for.

    Random features are not at chance. Where predictions use running averages of batch norm, these are those of
    training images, as after meta-training.
    """
    mode, split = reported_mode(learner, spec), source.part("test")
    fewer = frozen.head(spec["experiments"]["episodes"])
    if isinstance(learner, EmbeddingLearner):
        _fill_running_statistics(learner, source, frozen)
    condition = Condition(frozen.way, frozen.shot, mode, test_tasks=UNTRAINED)
    yield condition, fewer.digest, evaluate_images(learner, fewer, split, split, mode)


@torch.no_grad()
def _fill_running_statistics(learner: EmbeddingLearner, source: ImageSource, frozen: FrozenEpisodes) -> None:
    sampler = source.sampler("untrained", frozen.way, frozen.shot)
    learner.train()
    for _ in range(STATISTICS_UPDATES):
        learner.outer_loss(sampler.sample(STATISTICS_TASKS, frozen.way, frozen.shot, 1))
    learner.eval()


class NearestPrototype(EmbeddingLearner):
    """Another learner's features with the nearest class mean in place of its own classifier: what its head adds."""

    def __init__(self, learner: EmbeddingLearner):
        super().__init__(learner.spec, learner.params)
        self.encoder = learner.encoder
        self.eval()

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        return class_means(features, support_y, way)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return -squared_distances(features, phi)


def _task_sets(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, spec: dict
) -> Iterator[tuple[str, FrozenEpisodes, ImageSplit]]:
    """The sets of test tasks that are switched on: name, episodes, and the images they index."""
    wanted, part, way, shot = spec["experiments"], source.part("test"), frozen.way, frozen.shot
    rest = spec["query"], spec["study_seed"]
    tasks = [(other, shot) for other in wanted["ways"] if other != way and learner.any_way]
    tasks += [(way, other) for other in wanted["shots"] if other != shot]
    for task in tasks:
        yield STANDARD, source.frozen("test", wanted["episodes"], *task, *rest), part
    if wanted["within_alphabet"] and source.largest_alphabet >= way:
        yield ALPHABET, source.within_alphabet(wanted["episodes"], way, shot, *rest), part
    if (
        wanted["lake_runs"]
        and (source.name, source.split_name) == lake_runs.LAKE_DATA
        and (learner.any_way or way == 20)
    ):
        yield LAKE, *lake_episodes(part)
    for name in wanted["other_data"]:
        other = ImageSource(name, None, source.device)
        if name != source.name and other.spec(way, shot).input_shape == learner.spec.input_shape:
            yield name, other.frozen("test", wanted["episodes"], way, shot, *rest), other.part("test")


def lake_episodes(part: ImageSplit) -> tuple[FrozenEpisodes, ImageSplit]:
    """Lake's 20 within-alphabet 20-way one-shot runs as frozen episodes, and the split that holds their drawings."""
    runs = lake_runs.lake_runs()
    drawings = np.concatenate([runs.train, runs.test], axis=1)  # a "class" of 40 drawings for each run
    images = torch.from_numpy(drawings).unsqueeze(2).to(part.images.device)
    count, items = runs.labels.shape
    first = 2 * items * np.arange(count)[:, None]
    support_y = np.tile(np.arange(items), (count, 1))
    episodes = FrozenEpisodes(
        first + np.arange(items), support_y, first + items + np.arange(items), runs.labels, items, 1
    )
    return episodes, ImageSplit(images, part.data, "lake", [], 1)
