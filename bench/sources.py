"""Where the protocol's tasks come from: the parts of a prepared image data set, or generated regression tasks."""

from typing import Any

import torch

from algos.base import TaskSpec
from tasks import dataset
from tasks.episodes import EpisodeSampler, FrozenEpisodes
from tasks.seeds import torch_generator


class ImageSource:
    """Training sampler and frozen episodes of an image data set; parts are loaded onto the device once."""

    kind = "classification"

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
        return TaskSpec(self.name, self.kind, shape, way, shot, tuple(meta["mean"]), tuple(meta["std"]))

    def sampler(self, *axes: Any) -> EpisodeSampler:
        return EpisodeSampler(self.part("train"), torch_generator(self.device, self.name, *axes))

    def frozen(
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int
    ) -> FrozenEpisodes:
        """Episodes of a part, the same for every algorithm and seed of the study."""
        images = self.part(part).images
        query = min(query, images.shape[1] - shot)  # Omniglot has 20 images per class
        axes = (self.name, self.split_name, part, study_seed)
        return FrozenEpisodes.draw(images.shape[0], images.shape[1], tasks, way, shot, query, *axes)


def open_source(name: str, split: str | None, device: torch.device) -> ImageSource:
    return ImageSource(name, split, device)
