"""Random images in place of a data set: speed does not depend on what a picture shows."""

from dataclasses import replace

import torch

from algos.base import MetaLearner, TaskSpec
from tasks.dataset import ImageData, ImageSplit
from tasks.episodes import Episodes, EpisodeSampler
from tasks.seeds import torch_generator


def split(classes: int, per_class: int, device: torch.device) -> ImageSplit:
    """Return a split of grey noise: uint8 `[classes, per_class, 1, 28, 28]`."""
    generator = torch_generator("cpu", "benchmarks", classes, per_class)
    images = torch.randint(0, 256, (classes, per_class, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return _resident(images.to(device))


def numbered_split(classes: int, per_class: int, device: torch.device) -> ImageSplit:
    """Return one-pixel colour images `[classes, per_class, 3, 1, 1]`: the pixel is the flat id of the image in base 256."""
    ids = torch.arange(classes * per_class, device=device)
    pixels = torch.stack([ids // 65536, ids // 256 % 256, ids % 256], dim=-1).to(torch.uint8)
    return _resident(pixels.view(classes, per_class, 3, 1, 1))


def _resident(images: torch.Tensor) -> ImageSplit:
    return ImageSplit(images, ImageData({}, images.numpy(force=True)), "train", list(range(len(images))), 1)


def episodes(tasks: int, way: int, shot: int, query: int, device: torch.device) -> Episodes:
    sampler = EpisodeSampler(split(way + 10, shot + query, device), torch_generator(device, "benchmarks"))
    return sampler.sample(tasks, way, shot, query)


def double(batch: Episodes) -> Episodes:
    return replace(batch, support_x=batch.support_x.double(), query_x=batch.query_x.double())


def on(device: torch.device, batch: Episodes) -> Episodes:
    moved = {name: value.to(device) for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return replace(batch, **moved)


def learner(kind: type[MetaLearner], device: torch.device, way: int = 5, **values) -> MetaLearner:
    """Build a learner for `way`-way 1-shot tasks with fixed initial weights, some of whose batch-norm scales are negative."""
    torch.manual_seed(0)
    spec = TaskSpec("benchmarks", "classification", (1, 28, 28), way, 1)
    made = kind(spec, kind.resolve("benchmarks", spec, values))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("gamma"):
                parameter[::4] *= -1
    return made.to(device)
