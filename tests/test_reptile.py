"""Reptile against torch's Adam in a plain loop over tasks, and its released code's ways (cards E10, E11)."""

import copy

import pytest
import torch
import torch.nn.functional as F

from algos.base import TaskSpec
from algos.nets.layers import Statistics
from algos.optimization import reptile
from algos.optimization.reptile import Reptile, adam_step, mini_batches
from bench.protocol.optimizer import learning_rate
from tasks.episodes import Episodes
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def regressor(**values) -> Reptile:
    spec = TaskSpec("toy", "regression", (1,), 1, 6)
    sizes = dict(backbone="mlp", hidden=5, meta_batch=3, inner_steps=4, inner_batch=4, schedule="constant")
    return Reptile(spec, Reptile.Params(**{**sizes, **values}))


class Tasks:
    """A sampler of the same regression tasks over and over."""

    def __init__(self):
        x = torch.randn(3, 6, 1)
        self.episodes = Episodes(x, torch.sin(x + torch.arange(3).view(3, 1, 1)), x[:, :0], x[:, :0], 1)

    def sample(self, tasks, way, shot, query, labels):
        assert query == 0, "Reptile needs no query set"
        return self.episodes


def update(model, tasks, rate=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=rate or model.params.learning_rate)
    return model.train().meta_update(tasks, optimizer)


def test_two_meta_updates_equal_a_loop_with_torchs_adam(monkeypatch):
    """The second one starts from the mean of the tasks' second moments, not from zero."""
    monkeypatch.setattr(
        reptile, "EPSILON", 1e-20
    )  # inside or outside of the bias correction: no difference then
    model, tasks = regressor(meta_step=0.6), Tasks()
    net = copy.deepcopy(model.net)
    moments, count = [torch.zeros_like(w) for w in net.parameters()], 0
    for seed in (1, 2):
        torch.manual_seed(seed)
        update(model, tasks)
        torch.manual_seed(seed)
        batches = mini_batches(6, 4, 4)
        results = [_plain_inner_loop(net, tasks.episodes, t, batches, moments, count) for t in range(3)]
        with torch.no_grad():
            for w, *phis in zip(net.parameters(), *(weights for weights, _ in results), strict=True):
                w += 0.6 * (torch.stack(phis).mean(0) - w)
        moments = [torch.stack(vs).mean(0) for vs in zip(*(v for _, v in results), strict=True)]
        count += 4
        for ours, theirs in zip(model.net.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def _plain_inner_loop(net, episodes, task, batches, moments, count):
    net = copy.deepcopy(net)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.0, 0.999), eps=1e-20)
    for w, v in zip(net.parameters(), moments, strict=True):
        adam.state[w] = {
            "step": torch.tensor(float(count)), "exp_avg": torch.zeros_like(w), "exp_avg_sq": v.clone()
        }  # fmt: skip
    for batch in batches:
        adam.zero_grad()
        x, y = episodes.support_x[task, batch], episodes.support_y[task, batch]
        F.mse_loss(net(x.unsqueeze(0), Statistics.batch())[0], y).backward()
        adam.step()
    return [w.detach() for w in net.parameters()], [adam.state[w]["exp_avg_sq"] for w in net.parameters()]


def test_the_first_step_of_adam_from_nothing_has_the_size_of_the_rate():
    weights, gradients = {"w": torch.zeros(4)}, {"w": torch.tensor([3.0, -0.2, 50.0, -7.0])}
    stepped, moments = adam_step(weights, gradients, {"w": torch.zeros(4)}, torch.tensor(1.0), 0.01)
    torch.testing.assert_close(stepped["w"], -0.01 * gradients["w"].sign(), rtol=1e-5, atol=0)
    torch.testing.assert_close(moments["w"], 0.001 * gradients["w"].square())


def test_an_outer_step_of_zero_leaves_the_weights_and_half_a_step_goes_half_way():
    tasks, moves = Tasks(), []
    for step in (0.0, 0.5, 1.0):
        torch.manual_seed(0)
        model = regressor(meta_step=step)
        before = model.net.head.weight.detach().clone()
        update(model, tasks)
        moves.append(model.net.head.weight.detach() - before)
    assert not moves[0].any() and moves[2].any()
    torch.testing.assert_close(2 * moves[1], moves[2])


def test_the_schedule_scales_the_outer_step_not_the_inner_rate():
    tasks, weights = Tasks(), []
    for values, rate in ((dict(meta_step=0.5), 1e-3), (dict(meta_step=1.0), 0.5e-3)):
        torch.manual_seed(0)
        model = regressor(**values)
        update(model, tasks, rate)
        weights.append(model.net.head.weight.detach())
    torch.testing.assert_close(*weights)


def test_testing_starts_from_the_moments_of_training_and_leaves_them():
    model, tasks = regressor(), Tasks()
    update(model, tasks)
    state = copy.deepcopy(model.state_dict())
    assert state["count"] == 4 and any(v.any() for name, v in state.items() if name.startswith("moment_"))
    model.eval()
    x, y = tasks.episodes.support_x, tasks.episodes.support_y
    first = model.adapt(x, y, 1)[0]["head.weight"]
    torch.testing.assert_close(model.adapt(x, y, 1)[0]["head.weight"], first)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    fresh = regressor()
    fresh.net.load_state_dict(model.net.state_dict())
    assert not torch.allclose(fresh.eval().adapt(x, y, 1)[0]["head.weight"], first)


def test_mini_batches_use_every_example_before_any_again():
    batches = mini_batches(6, 5, 4)
    assert batches.shape == (5, 4)
    order = batches.flatten()
    for start in (0, 6, 12):
        assert sorted(order[start : start + 6].tolist()) == list(range(6))


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="Reptile has a head for 3 classes and cannot do 5-way tasks"):
        planted.small(Reptile).adapt(torch.rand(1, 5, 1, 28, 28), torch.arange(5).unsqueeze(0), 5)


def test_the_published_schedule_falls_on_a_line_to_zero():
    params = Reptile.Params(steps=100, learning_rate=1.0)
    assert [learning_rate(params, step) for step in (0, 25, 100)] == [1, 0.75, 0]
