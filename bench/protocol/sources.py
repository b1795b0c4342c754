"""Sources of tasks: the parts of a prepared image data set; generated tasks are in bench/protocol/function_source.py.

A source gives the training sampler, the frozen episodes, and the scores of a learner on them.
"""

import importlib
from typing import TYPE_CHECKING, Any

import torch

from algos.base import MetaLearner, TaskSpec
from bench.protocol.evaluate import evaluate_images
from bench.protocol.scores import Scores
from tasks import dataset
from tasks.catalogue import REGRESSION
from tasks.episodes import Episodes, EpisodeSampler, FrozenEpisodes, check_sizes
from tasks.seeds import torch_generator

if TYPE_CHECKING:
    from bench.protocol.source_type import Source

FUNCTION_CODE = "bench.protocol.function_source"


class ImageSource:
    """Tasks from an image data set; parts are loaded onto the device once."""

    metric, sign = "accuracy", 1

    def __init__(self, name: str, split: str | None, device: torch.device):
        self.name, self.device = name, device
        self.data = dataset.load(name)
        self.split_name = split or self.data.meta["default_split"]
        self.digest = self.data.meta["digest"]
        self._parts: dict[str, dataset.ImageSplit] = {}

    @property
    def training_classes(self) -> int:
        """Classes of the meta-training part, rotated copies included; known without loading an image."""
        meta = self.data.meta
        return len(meta["splits"][self.split_name]["train"]) * meta["rotations"]

    def part(self, part: str) -> dataset.ImageSplit:
        """Return the images of a part."""
        if part not in self._parts:
            self._parts[part] = self.data.split(part, self.device, self.split_name)
        return self._parts[part]

    def spec(self, way: int, shot: int) -> TaskSpec:
        meta = self.data.meta
        shape = (meta["channels"], meta["size"], meta["size"])
        moments = tuple(meta["mean"]), tuple(meta["std"])
        return TaskSpec(self.name, "classification", shape, way, shot, *moments)

    def sampler(self, *axes: str | int) -> EpisodeSampler:
        return EpisodeSampler(self.part("train"), torch_generator(self.device, self.name, *axes))

    def frozen(
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int, choice: Any = None
    ) -> FrozenEpisodes:
        """Return episodes of a part. choice: of their classes (`tasks.episodes.Choice`), any by default."""
        split = self.part(part)
        check_sizes(split, shot, 1, "the number of queries")
        query = min(query, split.smallest - shot)  # Omniglot has 20 images per class
        axes = (self.name, self.split_name, part, study_seed)
        sizes = *split.images.shape[:2], tasks, way, shot, query
        return FrozenEpisodes.draw(*sizes, *axes, choice=choice, counts=split.counts)

    def batch(self, part: str, episodes: FrozenEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(self.part(part), start, stop)

    def score(self, learner: MetaLearner, part: str, episodes: FrozenEpisodes, mode: str) -> Scores:
        return evaluate_images(learner, episodes, self.part(part), self.part(part), mode)


def open_source(name: str, split: str | None, device: torch.device) -> "Source":
    """Return the tasks of a data set by its name in a study; FileNotFoundError says how to prepare it."""
    if name in REGRESSION:  # found by name, so that only the trainings on generated tasks depend on its code
        return importlib.import_module(FUNCTION_CODE).FunctionSource(name, split, device)
    return ImageSource(name, split, device)
