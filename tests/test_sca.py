"""Self-critique against its base learners, labelled steps, native layers and finite differences (cards E19, E20)."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from algos.optimization.maml import MAML
from algos.optimization.mamlpp import MAMLPlusPlus
from algos.optimization.sca import LAYERS, SCA, Critic, entropy
from tasks.episodes import Episodes
from tests import planted


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learner(kind=SCA, **values):
    torch.manual_seed(0)
    values = {"hidden": 4, "inner_steps": 2, "test_steps": 2, "steps": 100} | values
    return kind(planted.spec(), kind.Params(**values)).double()


@pytest.fixture
def tasks() -> Episodes:
    chosen = planted.episodes(tasks=3)
    return dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())


@pytest.mark.parametrize("base, reference", [("mamlpp", MAMLPlusPlus), ("maml", MAML)])
def test_without_a_critic_it_is_its_base(base, reference, tasks):
    """Loss, gradient and predictions, in the multi-step and first-order phase and after them."""
    model, plain = learner(base=base, critic="none", inner_rate=0.3), learner(reference, inner_rate=0.3)
    for updates in (0, 4, 60):
        model.updates = plain.updates = updates
        losses = [m.train().outer_loss(tasks) for m in (model, plain)]
        torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
        ours, theirs = (
            torch.autograd.grad(loss, list(m.net.parameters()))
            for loss, m in zip(losses, (model, plain), strict=True)
        )
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    for transductive in (False, True):
        ours, theirs = (planted.predictions(m, tasks, transductive) for m in (model, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_critic_without_rate_or_slope_changes_nothing(tasks):
    before = planted.predictions(learner(critic="none"), tasks, transductive=True)
    still, blind, moving = learner(critic_rate=0.0), learner(), learner()
    blind.critic = Blind()
    for model in (still, blind):
        torch.testing.assert_close(planted.predictions(model, tasks, True), before, rtol=1e-12, atol=1e-12)
    assert (planted.predictions(moving, tasks, True) - before).abs().max() > 1e-6


class Blind(nn.Module):
    def forward(self, logits):
        return 0 * logits.sum((1, 2))


class Cheat(nn.Module):
    """The critic that the learned one should become: each task's true cross-entropy."""

    def __init__(self, labels):
        super().__init__()
        self.labels = labels

    def forward(self, logits):
        return torch.stack([F.cross_entropy(a, y) for a, y in zip(logits, self.labels, strict=True)])


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_critic_that_knows_the_labels_is_a_labelled_step_on_the_queries(steps, mode, tasks):
    model = getattr(learner(critic_steps=steps, critic_rate=0.2), mode)()
    model.transductive, model.critic = True, Cheat(tasks.query_y)
    phi = model.adapt(tasks.support_x, tasks.support_y, planted.WAY)
    ours = model.predict(phi, tasks.query_x)
    reference, weights = getattr(learner(MAML, inner_rate=0.2), mode)(), phi[0]
    for _ in range(steps):
        weights = reference._step(weights, tasks.query_x, tasks.query_y, 0)
    expected = reference.predict((weights, tasks.support_x), tasks.query_x)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_the_critic_learns_from_the_loss_after_it_only(tasks):
    model = learner(multi_step_share=0.0)
    critic = list(model.critic.parameters())
    before, weights, _ = model._descent(tasks)
    untouched = torch.autograd.grad(before, critic, allow_unused=True, retain_graph=True)
    assert untouched == (None,) * len(critic)
    after = model.loss(model._criticised(weights, tasks.query_x), tasks.query_y)
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(after, critic, retain_graph=True))
    for updates, share in ((0, 0.5), (50, 0.25), (100, 0.0)):
        model.updates = updates
        expected = share * before + (1 - share) * after
        torch.testing.assert_close(model.outer_loss(tasks), expected)


@pytest.mark.parametrize("updates", [5, 70])
def test_the_meta_gradient_equals_finite_differences(updates, tasks):
    """Of the initialisation, the critic and all rates; nothing is detached."""
    model = learner(critic_steps=2, critic_rate=0.1, first_order_share=0.0)
    model.updates = updates
    weights = list(model.parameters())
    gradient = torch.autograd.grad(model.outer_loss(tasks), weights)
    direction = [torch.randn(w.shape) for w in weights]
    norm = torch.sqrt(sum(d.square().sum() for d in direction))
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for w, d in zip(weights, direction, strict=True):
                w += step * d / norm
        values.append(model.outer_loss(tasks).detach())
    ours = sum((g * d).sum() for g, d in zip(gradient, direction, strict=True)) / norm
    torch.testing.assert_close(ours, (values[0] - values[1]) / 2e-6, rtol=2e-5, atol=1e-8)


def test_the_order_of_the_queries_does_not_matter_and_inductive_mode_is_the_bases(tasks):
    model = learner()
    together = planted.predictions(model, tasks, transductive=True)
    order = torch.randperm(tasks.query_y.shape[1])
    permuted = dataclasses.replace(tasks, query_x=tasks.query_x[:, order])
    torch.testing.assert_close(planted.predictions(model, permuted, True), together[:, order])
    torch.testing.assert_close(
        planted.predictions(model, tasks), planted.predictions(learner(critic="none"), tasks)
    )


def test_the_critic_equals_native_layers_task_by_task():
    torch.manual_seed(1)
    critic, logits = Critic(3), torch.randn(2, 7, 3)
    with torch.no_grad():
        critic.scale.normal_()
        critic.shift.normal_()
    norms = [nn.BatchNorm1d(8, track_running_stats=False) for _ in range(LAYERS)]
    for norm, scale, shift in zip(norms, critic.scale, critic.shift, strict=True):
        norm.weight, norm.bias = nn.Parameter(scale.flatten()), nn.Parameter(shift.flatten())
    for score, task in zip(critic(logits), logits, strict=True):
        x = torch.cat([task, task.abs(), task**2, task.sign()], dim=1).unsqueeze(1)
        for convolution, norm in zip(critic.convolutions, norms, strict=True):
            x = torch.cat([x, F.relu(norm(convolution(x)))], dim=1)
        assert x.shape == (7, 41, 12)
        torch.testing.assert_close(critic.score(x.flatten(1)).mean(), score)


@pytest.mark.parametrize("critic", ["learned", "entropy"])
def test_a_step_is_as_long_with_each_query_twice(tasks, critic):
    model = learner(critic=critic)
    twice = dataclasses.replace(
        tasks, query_x=tasks.query_x.repeat(1, 2, 1, 1, 1), query_y=tasks.query_y.repeat(1, 2)
    )
    once, again = (planted.predictions(model, t, transductive=True) for t in (tasks, twice))
    torch.testing.assert_close(again, once.repeat(1, 2, 1), rtol=1e-9, atol=1e-9)


def test_the_entropy_critic_makes_predictions_surer(tasks):
    model, base = learner(critic="entropy", critic_rate=1e-3), learner(critic="none")
    before, after = (planted.predictions(m, tasks, transductive=True) for m in (base, model))
    torch.testing.assert_close(
        entropy(before), torch.distributions.Categorical(logits=before).entropy().mean(1)
    )
    assert (entropy(after) < entropy(before)).all()


def test_another_way_needs_a_critic_that_does_not_count_classes():
    drawn = planted.sampler("ways", "test").sample(2, 5, 2, 3)
    five = dataclasses.replace(drawn, support_x=drawn.support_x.double(), query_x=drawn.query_x.double())
    with pytest.raises(ValueError, match="SCA's critic reads 3 classes and cannot do 5-way tasks"):
        planted.predictions(learner(head_init="shared"), five, transductive=True)
    logits = planted.predictions(learner(head_init="shared", critic="entropy"), five, transductive=True)
    assert logits.shape == (2, 15, 5)
