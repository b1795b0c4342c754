"""Case `sampling`: float32 5-way 1-shot episodes with 15 queries per class, from images in memory."""

from collections.abc import Callable, Iterator

import torch

from benchmarks import plain, synthetic
from benchmarks.timing import Comparison, Scale, local
from benchmarks.torchmeta_loader import torchmeta_sampler
from tasks.dataset import ImageSplit
from tasks.episodes import Episodes, EpisodeSampler
from tasks.preparation.archives import DataError
from tasks.seeds import torch_generator

WAY, SHOT, QUERY = 5, 1, 15
Draw = Callable[[], Episodes]


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    real = synthetic.split(scale.classes, scale.per_class, device)
    numbered = synthetic.numbered_split(scale.classes, scale.per_class, device)
    variants, skipped = [], {}
    for name, make in {
        "loop of randperm": _loop,
        "ours": _ours,
        "torchmeta, in memory": torchmeta_sampler,
    }.items():
        try:
            check_valid(make(numbered, scale.tasks, WAY, SHOT, QUERY)(), scale.per_class)
        except DataError as error:
            skipped[name] = str(error)
            continue
        draw = make(real, scale.tasks, WAY, SHOT, QUERY)
        variants.append(local(name, scale.tasks, draw, device))
    yield Comparison("sampling", "5-way 1-shot 15-query", "episodes", variants, skipped)


def _ours(split: ImageSplit, tasks: int, way: int, shot: int, query: int) -> Draw:
    sampler = EpisodeSampler(split, torch_generator(split.images.device, "benchmarks", "ours"))
    return lambda: sampler.sample(tasks, way, shot, query)


def _loop(split: ImageSplit, tasks: int, way: int, shot: int, query: int) -> Draw:
    generator = torch_generator(split.images.device, "benchmarks", "loop")
    return lambda: plain.draw_episodes(split.images, generator, tasks, way, shot, query)


def check_valid(batch: Episodes, per_class: int) -> None:
    """Raise AssertionError unless each episode has distinct images of `way` classes, each class with one label.

    batch: episodes from `synthetic.numbered_split`. Samplers draw from different generators, so each is compared with
    the definition of an episode, not with the episodes of another sampler.
    """
    places = torch.tensor([65536, 256, 1], device=batch.support_x.device)
    x = torch.cat([batch.support_x, batch.query_x], dim=1).flatten(2)
    labels = torch.cat([batch.support_y, batch.query_y], dim=1)
    for ids, own in zip(((x * 255).round().long() * places).sum(-1), labels, strict=True):
        assert len(ids.unique()) == len(ids), "an image was drawn twice for one episode"
        pairs = torch.stack([ids // per_class, own]).unique(dim=1)
        assert pairs.shape[1] == batch.way, "a class has two labels, or a label two classes"
        assert sorted(pairs[1].tolist()) == list(range(batch.way)), "labels are not 0 .. way - 1"
    shape = (batch.support_y.shape[1], batch.query_y.shape[1])
    assert shape == (batch.way * SHOT, batch.way * QUERY), f"{shape} support and query images"
