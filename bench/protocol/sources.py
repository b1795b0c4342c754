"""Where the protocol's tasks come from: the parts of a prepared image data set, or generated regression tasks.

A source gives the training sampler, the frozen episodes, and the scores of a learner on them, clean and shifted.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import torch

from algos.base import MetaLearner, TaskSpec
from bench.protocol.evaluate import evaluate_images, evaluate_points
from bench.protocol.scores import Scores
from tasks import dataset
from tasks.episodes import Episodes, EpisodeSampler, FrozenEpisodes
from tasks.functions import FunctionEpisodes, FunctionSampler
from tasks.generated import FUNCTIONS
from tasks.seeds import torch_generator


class ImageSource:
    """Tasks from an image data set; parts are loaded onto the device once."""

    def __init__(self, name: str, split: str | None, device: torch.device):
        self.name, self.device = name, device
        self.data = dataset.load(name)
        self.split_name = split or self.data.meta["default_split"]
        self.digest = self.data.meta["digest"]
        self._parts: dict[str, dataset.ImageSplit] = {}

    def part(self, part: str) -> dataset.ImageSplit:
        if part not in self._parts:
            self._parts[part] = self.data.split(part, self.device, self.split_name)
        return self._parts[part]

    def spec(self, way: int, shot: int) -> TaskSpec:
        meta = self.data.meta
        shape = (meta["channels"], meta["size"], meta["size"])
        return TaskSpec(
            self.name, "classification", shape, way, shot, tuple(meta["mean"]), tuple(meta["std"])
        )

    def sampler(self, *axes: str | int) -> EpisodeSampler:
        return EpisodeSampler(self.part("train"), torch_generator(self.device, self.name, *axes))

    def frozen(
        self,
        part: str,
        tasks: int,
        way: int,
        shot: int,
        query: int,
        study_seed: int,
        fixed_labels: bool = False,
    ) -> FrozenEpisodes:
        """Episodes of a part, the same for every algorithm and seed of the study."""
        images = self.part(part).images
        query = min(query, images.shape[1] - shot)  # Omniglot has 20 images per class
        axes = (self.name, self.split_name, part, study_seed)
        sizes = images.shape[0], images.shape[1], tasks, way, shot, query
        return FrozenEpisodes.draw(*sizes, *axes, fixed_labels=fixed_labels)

    def batch(self, part: str, episodes: FrozenEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(self.part(part), start, stop)

    def score(self, learner: MetaLearner, part: str, episodes: FrozenEpisodes, mode: str) -> Scores:
        return evaluate_images(learner, episodes, self.part(part), self.part(part), mode)

    @property
    def alphabets(self) -> list[str]:
        """Alphabet and rotation of each meta-test class."""
        part = self.part("test")
        return [f"{name} {c // len(part.base_classes)}" for c, name in enumerate(part.groups)]

    @property
    def largest_alphabet(self) -> int:
        """Classes of the largest alphabet of meta-test; 0 where the data set has no alphabets."""
        return max(Counter(self.alphabets).values()) if len(set(self.part("test").groups)) > 1 else 0

    def within_alphabet(self, tasks: int, way: int, shot: int, query: int, study_seed: int) -> FrozenEpisodes:
        """Meta-test episodes whose classes share an alphabet (and a rotation)."""
        classes, per_class = self.part("test").images.shape[:2]
        axes = (self.name, self.split_name, "test", study_seed)
        query = min(query, per_class - shot)
        return FrozenEpisodes.draw(classes, per_class, tasks, way, shot, query, *axes, groups=self.alphabets)


class FunctionSource:
    """Generated regression tasks; `shot` points per task. Its shifts are ranges beyond those of meta-training."""

    digest = "generated"

    def __init__(self, name: str, split: str | None, device: torch.device):
        kind = FUNCTIONS[name]
        if split and split not in kind.SPLITS:
            known = ", or ".join(["leave the key out", *kind.SPLITS])
            raise ValueError(f"data set {name} is generated and has no split {split!r}: {known}")
        self.name, self.device = name, device
        self.split_name = split or "generated"
        self.functions = kind(**kind.SPLITS[split]) if split else kind()

    def spec(self, way: int, shot: int) -> TaskSpec:
        parameters = len(self.functions.PARAMETERS)
        return TaskSpec(self.name, "regression", (1,), way, shot, parameters=parameters)

    def sampler(self, *axes: str | int) -> FunctionSampler:
        return FunctionSampler(torch_generator(self.device, self.name, *axes), self.functions)

    def frozen(
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int, **ranges: Any
    ) -> FunctionEpisodes:
        return FunctionEpisodes.draw(replace(self.functions, **ranges), tasks, shot, query, part, study_seed)

    def batch(self, part: str, episodes: FunctionEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(start, stop, self.device)

    def score(self, learner: MetaLearner, part: str, episodes: FunctionEpisodes, mode: str) -> Scores:
        return evaluate_points(learner, episodes, self.device)


def open_source(name: str, split: str | None, device: torch.device) -> ImageSource | FunctionSource:
    """The tasks of a data set by its name in a study; FileNotFoundError says how to prepare it."""
    return (FunctionSource if name in FUNCTIONS else ImageSource)(name, split, device)
