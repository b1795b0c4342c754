"""A GPU gives what the CPU gives: the same loss, weights after a meta-update, and predictions, for every algorithm."""

import dataclasses

import pytest
import torch

from algos import load
from algos.base import MetaLearner
from tasks.episodes import Episodes
from tests import planted
from tests.test_contract import ALGORITHMS, TRAINED

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)


class Given:
    """A sampler that gives the same tasks each time."""

    def __init__(self, tasks: Episodes):
        self.tasks = tasks

    def sample(self, *_: object) -> Episodes:
        return self.tasks


def on(device: str, tasks: Episodes) -> Episodes:
    """The tasks in float64, so that what differs is not rounding."""
    values = {field.name: getattr(tasks, field.name) for field in dataclasses.fields(tasks)}
    moved = {name: v.to(device) for name, v in values.items() if isinstance(v, torch.Tensor)}
    moved = {name: v.double() if v.is_floating_point() else v for name, v in moved.items()}
    return dataclasses.replace(tasks, **moved)


def learners(name: str) -> dict[str, MetaLearner]:
    """By device, from the same initial weights."""
    return {device: planted.small(load(name)).double().to(device) for device in ("cpu", "cuda")}


@pytest.fixture
def same_sizes(monkeypatch):
    """The sizes of contexts (ALPaCA) are drawn on the device, whose stream is another: draw them on the CPU here."""
    drawn = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, device="cpu", **k: drawn(*a, **k).to(device))


@pytest.mark.parametrize("name", TRAINED)
def test_a_meta_update_is_the_same(name, same_sizes):
    tasks = planted.episodes(name="training", part="train")
    losses, weights = {}, {}
    for device, learner in learners(name).items():
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(learner.train().parameters(), lr=0.1)
        losses[device] = learner.meta_update(Given(on(device, tasks)), optimizer).cpu()
        weights[device] = {key: value.cpu() for key, value in learner.state_dict().items()}
    torch.testing.assert_close(losses["cuda"], losses["cpu"], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(weights["cuda"], weights["cpu"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("transductive", [False, True])
def test_predictions_are_the_same(name, transductive):
    if transductive and "transductive" not in load(name).modes:
        pytest.skip(f"{name} has no transductive mode")
    found = {
        device: planted.predictions(learner, on(device, planted.episodes()), transductive).cpu()
        for device, learner in learners(name).items()
    }
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=1e-6, atol=1e-8)
