"""MAML and FOMAML against `higher` (Grefenstette et al. 2019): the same weights, the same episodes, the same training."""

import dataclasses

import higher
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import TaskSpec
from algos.optimization.fomaml import FOMAML
from algos.optimization.maml import MAML
from tasks.episodes import Episodes, EpisodeSampler
from tasks.seeds import torch_generator
from tests import drawings, planted

WAY, SHOT, QUERY, TASKS, STEPS, RATE, HIDDEN = 5, 1, 3, 3, 3, 0.4, 8
CLOSE = dict(rtol=1e-8, atol=1e-10)


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["planted", "omniglot"])
def split(request):
    return planted.planted_split() if request.param == "planted" else drawings.omniglot()


class Double:
    """A sampler's episodes in double precision; the tasks per batch are ours."""

    def __init__(self, split):
        self.sampler = EpisodeSampler(split, torch_generator("cpu", "crosscheck"))

    def sample(self, *_) -> Episodes:
        drawn = self.sampler.sample(TASKS, WAY, SHOT, QUERY)
        return dataclasses.replace(drawn, support_x=drawn.support_x.double(), query_x=drawn.query_x.double())


def learner(kind: type[MAML]) -> MAML:
    torch.manual_seed(0)
    params = MAML.Params(
        backbone="conv4", hidden=HIDDEN, inner_rate=RATE, inner_steps=STEPS, test_steps=STEPS, clip_norm=0.0
    )
    return kind(TaskSpec("test", "classification", (1, 28, 28), WAY, SHOT), params).double()


def reference_of(model: MAML) -> nn.Sequential:
    """The network from torch's own layers, with the learner's weights; batch norm always by the batch."""
    layers: list[nn.Module] = []
    for inputs in (1, HIDDEN, HIDDEN, HIDDEN):
        layers += [nn.Conv2d(inputs, HIDDEN, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(HIDDEN, track_running_stats=False), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(HIDDEN, WAY))
    with torch.no_grad():
        for theirs, ours in zip(network.parameters(), model.parameters(), strict=True):
            theirs.copy_(ours)
    return network


def by_higher(network: nn.Sequential, episodes: Episodes, first_order: bool) -> tuple[Tensor, list, Tensor]:
    """Query loss, its gradient for the initial weights and the accuracy: task after task, all by `higher`."""
    adapted = [w for layer in network if not isinstance(layer, nn.BatchNorm2d) for w in layer.parameters()]
    inner = torch.optim.SGD(adapted, lr=RATE)
    losses, gradients, correct = [], [], []
    for sx, sy, qx, qy in zip(
        episodes.support_x, episodes.support_y, episodes.query_x, episodes.query_y, strict=True
    ):
        context = higher.innerloop_ctx(
            network, inner, copy_initial_weights=False, track_higher_grads=not first_order
        )
        with context as (task_network, optimizer):
            for _ in range(STEPS):
                optimizer.step(F.cross_entropy(task_network(sx), sy))
            logits = task_network(qx)
            losses.append(F.cross_entropy(logits, qy))
            weights = task_network.parameters() if first_order else network.parameters()
            gradients.append(torch.autograd.grad(losses[-1], list(weights)))
            correct.append((logits.argmax(-1) == qy).double())
    mean = [torch.stack(parts).mean(0) for parts in zip(*gradients, strict=True)]
    return torch.stack(losses).mean().detach(), mean, torch.stack(correct).mean()


@pytest.mark.parametrize("kind", [MAML, FOMAML])
def test_loss_and_meta_gradient(kind, split):
    model, episodes = learner(kind), Double(split).sample()
    loss, expected, _ = by_higher(reference_of(model), episodes, model.first_order)
    ours = model.outer_loss(episodes)
    torch.testing.assert_close(ours, loss, **CLOSE)
    for a, b in zip(torch.autograd.grad(ours, list(model.parameters())), expected, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("kind", [MAML, FOMAML])
def test_the_course_of_a_training(kind, split):
    """Five updates of Adam: the loss of each, the test accuracy after each, and the weights at the end."""
    model = learner(kind)
    network, held_out = reference_of(model), Double(split).sample()
    outer = [torch.optim.Adam(m.parameters(), lr=3e-3) for m in (model, network)]
    samplers = Double(split), Double(split)
    accuracies = []
    for _ in range(5):
        ours = model.train().meta_update(samplers[0], outer[0])
        loss, gradients, _ = by_higher(network, samplers[1].sample(), model.first_order)
        for w, g in zip(network.parameters(), gradients, strict=True):
            w.grad = g
        outer[1].step()
        torch.testing.assert_close(ours, loss, rtol=1e-6, atol=1e-8)
        accuracies.append(planted.accuracy(model, held_out, transductive=True))
        assert accuracies[-1] == pytest.approx(by_higher(network, held_out, first_order=True)[2].item())
    assert len(set(accuracies)) > 1
    for a, b in zip(model.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
