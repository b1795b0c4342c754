"""Sinusoid tasks and small learners of them, for the tests of regression."""

import dataclasses

import torch

import algos
from algos.base import MetaLearner, TaskSpec
from tasks.episodes import Episodes
from tasks.functions import FunctionSampler
from tasks.seeds import torch_generator
from tasks.sinusoid import Sinusoids
from tests.planted import SMALL

SPEC = TaskSpec("sinusoid", "regression", (1,), 1, 5, parameters=3)
CPU = torch.device("cpu")


def small(name, **overrides) -> MetaLearner:
    """The learner with its settings for sinusoids at test size."""
    kind = algos.load(name)
    known = {key: value for key, value in SMALL.items() if key in kind.Params.__dataclass_fields__}
    torch.manual_seed(0)
    return kind(SPEC, kind.resolve(name, SPEC, known | overrides)).eval()


def waves(tasks=3, shot=5, query=7, name="regression") -> Episodes:
    return cast(sampler(name).sample(tasks, 1, shot, query), torch.float64)


def sampler(name) -> FunctionSampler:
    return FunctionSampler(torch_generator("cpu", name), Sinusoids())


def cast(tasks, dtype) -> Episodes:
    names = ("support_x", "support_y", "query_x", "query_y", "truth")
    return dataclasses.replace(tasks, **{name: getattr(tasks, name).to(dtype) for name in names})
