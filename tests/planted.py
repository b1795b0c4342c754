"""A planted problem that any learner must solve: each class is a constant random picture, each image adds noise."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch
import yaml

import algos
from algos.base import MetaLearner, TaskSpec
from bench.__main__ import main
from bench.protocol.optimizer import learning_rate
from tasks.dataset import ImageData, ImageSplit
from tasks.episodes import Episodes, EpisodeSampler
from tasks.preparation.write import write_prepared
from tasks.seeds import numpy_generator, torch_generator

WAY, SHOT, SIZE = 3, 2, 28
OF_THE_TRAINER = ("optimizer", "momentum", "weight_decay", "drops")
"""Hyper-parameters of the outer optimiser, which no learner sees: tests/test_optimizer.py has their effects."""
RUN = "planted/3way_2shot/{}/seed0"
"""Name of a run of `write_study`, by algorithm."""
SMALL = {"hidden": 12, "width": 96, "slots": 16, "train_query": 3, "learning_rate": 3e-3}
"""Sizes for tests, for the hyper-parameters an algorithm has; meta_batch is set beside them."""


SMALLER = {
    "caml": {"meta_batch": 4, "width": 48, "blocks": 2},
    "mamlpp": {"inner_steps": 2, "test_steps": 2},
    "meta_lstm": {"backbone": "conv4_stride"},
    "metanet": {"meta_batch": 3},
    "ntm": {"train_query": 1, "width": 48},
    "reptile": {"test_steps": 10},
    "sca": {"inner_steps": 2, "test_steps": 2},
    "siamese": {"backbone": "conv4_stride"},
}
"""Besides `SMALL`, for the dearest learners: they cost more than all others together."""


def pictures(classes: int = 240, per_class: int = 8, noise: float = 0.1) -> np.ndarray:
    """uint8 `[classes, per_class, 28, 28]`: coarse random patterns, one per class, with pixel noise."""
    generator = numpy_generator("planted", classes, per_class)
    coarse = generator.random((classes, 1, 7, 7)).repeat(4, axis=2).repeat(4, axis=3)
    noisy = coarse + noise * generator.standard_normal((classes, per_class, SIZE, SIZE))
    return (255 * noisy.clip(0, 1)).round().astype(np.uint8)


def meta(classes: int = 240) -> dict:
    """A prepared data set's meta.json for `pictures`: two thirds to train on, the rest halved."""
    train, val = classes * 2 // 3, classes * 5 // 6
    parts = {"train": list(range(train)), "val": list(range(train, val)), "test": list(range(val, classes))}
    return {
        "name": "planted", "imagery": "glyphs", "size": SIZE, "channels": 1, "rotations": 1,
        "class_names": [f"class{c:03d}" for c in range(classes)], "groups": [""] * classes,
        "splits": {"default": parts}, "default_split": "default", "mean": [0.0], "std": [1.0],
        "digest": "planted", "source": "tests", "licence": "none", "citation": "none",
    }  # fmt: skip


@functools.cache
def planted_split(part: str = "train", noise: float = 0.1) -> ImageSplit:
    return ImageData(meta(), pictures(noise=noise)).split(part)


def spec(way: int = WAY, shot: int = SHOT) -> TaskSpec:
    return TaskSpec("planted", "classification", (1, SIZE, SIZE), way, shot)


def small(learner: type[MetaLearner], **overrides) -> MetaLearner:
    """The learner at test size, initialised from a fixed seed."""
    known = learner.Params.__dataclass_fields__
    values = {key: value for key, value in {**SMALL, "meta_batch": 8}.items() if key in known}
    values |= SMALLER.get(learner.__module__.rpartition(".")[2], {}) | overrides
    torch.manual_seed(0)
    return learner(spec(), learner.resolve("test", spec(), values))


def small_pretraining(name: str, **overrides) -> MetaLearner:
    """The named stage at test size, a classifier of all classes of the planted training part."""
    classes = len(meta()["splits"]["default"]["train"])
    values = {"hidden": SMALL["hidden"], "learning_rate": SMALL["learning_rate"]} | overrides
    learner, every = algos.load_pretraining(name), dataclasses.replace(spec(), way=classes)
    torch.manual_seed(0)
    return learner(every, learner.resolve(name, every, values))


def sampler(name: str = "sampler", part: str = "train", noise: float = 0.1) -> EpisodeSampler:
    return EpisodeSampler(planted_split(part, noise), torch_generator("cpu", name))


def episodes(
    tasks: int = 4, query: int = 3, name: str = "episodes", part: str = "test", noise: float = 0.1
) -> Episodes:
    return sampler(name, part, noise).sample(tasks, WAY, SHOT, query)


def trained(
    learner: MetaLearner, updates: int, name: str = "training", enough: float = 0.0, noise: float = 0.1
) -> list[float]:
    """Meta-train on the planted problem under the learner's own schedule; returns the losses.

    Stops early once the mean of the last 20 losses is below `enough`.
    """
    learner.train()
    if not learner.trainable:
        return []
    optimizer = torch.optim.Adam(learner.parameters(), lr=learner.params.learning_rate, fused=True)
    tasks = sampler(name, noise=noise)
    losses = []
    for step in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(learner.params, step)
        losses.append(learner.meta_update(tasks, optimizer).item())
        if len(losses) >= 40 and sum(losses[-20:]) < 20 * enough:
            break
    return losses


def predictions(learner: MetaLearner, tasks: Episodes, transductive: bool = False) -> torch.Tensor:
    learner.eval()
    with learner.testing(transductive=transductive):
        phi = learner.adapt(tasks.support_x, tasks.support_y, tasks.way)
        return learner.predict(phi, tasks.query_x)


def accuracy(learner: MetaLearner, tasks: Episodes, transductive: bool = False) -> float:
    return (predictions(learner, tasks, transductive).argmax(-1) == tasks.query_y).float().mean().item()


def write_study(folder: Path, **changes) -> Path:
    """A prepared planted data set and a study of it under `folder`; returns the study file."""
    write_prepared("planted", pictures(), meta(), root=folder / "data" / "prepared")
    study = {
        "study": "tiny",
        "datasets": {"planted": {"ways": [WAY], "shots": [SHOT]}},
        "algorithms": ["protonet"],
        "train": {"steps": 30, "validate_every": 10, "validation_episodes": 8, "device": "cpu"},
        "test": {"episodes": 10, "query": 3},
        **changes,
    }
    small = {
        "protonet": {"hidden": 8},
        "maml": {"hidden": 8, "meta_batch": 4},
        "mamlpp": {"hidden": 8, "meta_batch": 2, "inner_steps": 2, "test_steps": 2},
    }
    study.setdefault("overrides", {name: small[name] for name in study["algorithms"] if name in small})
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def folder(home: Path, algorithm: str = "protonet", study: str = "tiny") -> Path:
    """Folder of a run of `write_study`; home: the fixture."""
    return home / "results" / study / RUN.format(algorithm)


def bench(*arguments: object) -> int:
    """Run a verb in this process; return its exit code."""
    return main([str(argument) for argument in arguments])
