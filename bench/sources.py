"""Where the protocol's tasks come from: the parts of a prepared image data set, or generated regression tasks.

A source gives the training sampler, the frozen episodes, and the scores of a learner on them, clean and shifted.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from algos.base import MetaLearner, TaskSpec
from bench.evaluate import Embedder, Scores, evaluate_images, evaluate_points
from tasks import dataset, shifts
from tasks.episodes import Episodes, EpisodeSampler, FrozenEpisodes
from tasks.seeds import torch_generator
from tasks.sinusoid import OUT_OF_RANGE, SinusoidEpisodes, SinusoidSampler


@dataclass(frozen=True)
class Condition:
    """One setting of a meta-test. scope: what is shifted (`clean`: nothing; the whole `task`; the `query` only).

    value: strength in the shift's own unit.
    """

    shift: str = "none"
    severity: int = 0
    value: float = 0.0
    scope: str = "clean"
    mode: str = "inductive"


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
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int
    ) -> FrozenEpisodes:
        """Episodes of a part, the same for every algorithm and seed of the study."""
        images = self.part(part).images
        query = min(query, images.shape[1] - shot)  # Omniglot has 20 images per class
        axes = (self.name, self.split_name, part, study_seed)
        return FrozenEpisodes.draw(images.shape[0], images.shape[1], tasks, way, shot, query, *axes)

    def batch(self, part: str, episodes: FrozenEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(self.part(part), start, stop)

    def score(self, learner: MetaLearner, part: str, episodes: FrozenEpisodes, mode: str) -> Scores:
        return evaluate_images(learner, episodes, self.part(part), self.part(part), mode)

    def conditions(
        self, learner: MetaLearner, frozen: FrozenEpisodes, spec: dict[str, Any]
    ) -> Iterator[tuple[Condition, Scores]]:
        """Score under every condition of a test specification; each shifted image is made once."""
        clean, kind = self.part("test"), self.data.meta["kind"]
        modes = [mode for mode in spec["modes"] if mode in learner.modes]
        embed = Embedder(learner)  # scopes share the shifted queries, shifts share the clean support
        for mode in modes:
            yield Condition(mode=mode), evaluate_images(learner, frozen, clean, clean, mode, embed)
        fewer, scopes = frozen.head(spec["shifts"]["episodes"]), spec["shifts"]["scopes"]
        for shift, severities in spec["shifts"]["severities"].items():
            applies = shift in shifts.SHIFTS and kind in shifts.SHIFTS[shift].levels
            for severity in severities if applies else ():
                value = shifts.strength(shift, severity, kind)
                moved = shifted_split(clean, fewer, shift, value)
                for scope, mode in itertools.product(scopes, modes):
                    support = moved if scope == "task" else clean
                    scores = evaluate_images(learner, fewer, support, moved, mode, embed)
                    yield Condition(shift, severity, value, scope, mode), scores


def shifted_split(
    clean: dataset.ImageSplit, frozen: FrozenEpisodes, shift: str, value: float
) -> dataset.ImageSplit:
    """A copy of the split in which the images that the episodes use are shifted, on the uint8 grid of all data."""
    used = torch.from_numpy(np.unique(np.concatenate([frozen.support.ravel(), frozen.query.ravel()])))
    used = used.to(clean.images.device)
    images = clean.images.clone()
    images.view(-1, *clean.input_shape)[used] = shifts.shifted(clean, used, shift, value)
    return dataset.ImageSplit(images, clean.data, clean.part, clean.base_classes, clean.rotations)


class SinusoidSource:
    """Generated regression tasks; `shot` points per task. Its shifts are ranges beyond those of meta-training."""

    split_name = "generated"
    digest = "generated"

    def __init__(self, name: str, split: str | None, device: torch.device):
        if split:
            raise ValueError(f"data set sinusoid is generated and has no split {split!r}: leave the key out")
        self.name, self.device = name, device

    def spec(self, way: int, shot: int) -> TaskSpec:
        return TaskSpec(self.name, "regression", (1,), way, shot)

    def sampler(self, *axes: str | int) -> SinusoidSampler:
        return SinusoidSampler(torch_generator(self.device, self.name, *axes))

    def frozen(
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int, **ranges: Any
    ) -> SinusoidEpisodes:
        return SinusoidEpisodes.draw(tasks, shot, query, part, study_seed, **ranges)

    def batch(self, part: str, episodes: SinusoidEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(start, stop, self.device)

    def score(self, learner: MetaLearner, part: str, episodes: SinusoidEpisodes, mode: str) -> Scores:
        return evaluate_points(learner, episodes, self.device)

    def conditions(
        self, learner: MetaLearner, frozen: SinusoidEpisodes, spec: dict[str, Any]
    ) -> Iterator[tuple[Condition, Scores]]:
        """In range, then with each parameter out of range (severity 1: the published range)."""
        yield Condition(), self.score(learner, "test", frozen, "inductive")
        tasks, shot, query = spec["shifts"]["episodes"], frozen.shot, frozen.x.shape[1] - frozen.shot
        for shift, severities in spec["shifts"]["severities"].items():
            if shift in OUT_OF_RANGE and severities:
                bounds = OUT_OF_RANGE[shift]
                moved = self.frozen("test", tasks, 1, shot, query, spec["study_seed"], **{shift: bounds})
                yield Condition(shift, 1, bounds[1], "task"), self.score(learner, "test", moved, "inductive")


def open_source(name: str, split: str | None, device: torch.device) -> ImageSource | SinusoidSource:
    """The tasks of a data set by its name in a study; FileNotFoundError says how to prepare it."""
    return (SinusoidSource if name == "sinusoid" else ImageSource)(name, split, device)
