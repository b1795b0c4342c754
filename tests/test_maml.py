"""MAML and FOMAML against finite differences, closed forms and a plain loop over tasks (cards E1-E4, E6, E10)."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import algos
from algos.base import TaskSpec
from algos.nets.layers import Linear, Statistics
from algos.optimization.fomaml import FOMAML
from algos.optimization.maml import MAML
from tasks.episodes import Episodes
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def learner(kind=MAML, **values):
    torch.manual_seed(0)
    return kind(planted.spec(), MAML.Params(hidden=4, **values)).double()


def tasks(count=3) -> Episodes:
    chosen = planted.episodes(tasks=count)
    return dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())


def meta_gradient(model, episodes):
    return torch.autograd.grad(model.outer_loss(episodes), list(model.parameters()))


@pytest.mark.parametrize("backbone", ["conv4", "conv4_stride"])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_meta_gradient_equals_finite_differences(backbone, steps):
    """Along random unit directions; through batch norm, pooling and every inner step. FOMAML's must not."""
    model, episodes = learner(backbone=backbone, inner_steps=steps), tasks()
    gradient = meta_gradient(model, episodes)
    first_order = meta_gradient(learner(FOMAML, backbone=backbone, inner_steps=steps), episodes)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        direction = [torch.randn(p.shape, generator=generator) for p in model.parameters()]
        norm = torch.sqrt(sum(d.square().sum() for d in direction))
        direction = [d / norm for d in direction]
        numeric = (
            _loss_along(model, episodes, direction, 1e-6) - _loss_along(model, episodes, direction, -1e-6)
        ) / 2e-6
        ours = sum((g * d).sum() for g, d in zip(gradient, direction, strict=True))
        torch.testing.assert_close(ours, numeric, rtol=2e-5, atol=1e-8)
        wrong = sum((g * d).sum() for g, d in zip(first_order, direction, strict=True))
        assert abs(wrong - numeric) > 10 * abs(ours - numeric)


def _loss_along(model, episodes, direction, step):
    with torch.no_grad():
        for p, d in zip(model.parameters(), direction, strict=True):
            p += step * d
    loss = model.outer_loss(episodes).detach()
    with torch.no_grad():
        for p, d in zip(model.parameters(), direction, strict=True):
            p -= step * d
    return loss


class PlainNetwork(nn.Module):
    """The same network from native layers, for one task; batch norm always on the batch's statistics."""

    def forward(self, x, weights):
        for block in range(4):
            w, g, b = (weights[f"backbone.blocks.{block}.{name}"] for name in ("weight", "gamma", "beta"))
            x = F.relu(F.batch_norm(F.conv2d(x, w, padding=1), None, None, g, b, training=True))
            x = F.max_pool2d(x, 2)
        return F.linear(x.flatten(1), weights["head.weight"], weights["head.bias"])


@pytest.mark.parametrize("first_order", [False, True])
def test_a_batch_equals_a_loop_over_tasks_in_native_torch(first_order):
    """Loss and meta-gradient against the textbook loop: one task at a time, autograd through native layers."""
    model = learner(FOMAML if first_order else MAML, backbone="conv4", inner_steps=2, inner_rate=0.3)
    episodes = tasks(4)
    weights = dict(model.net.named_parameters())
    losses = []
    for t in range(4):
        adapted = dict(weights)
        for _ in range(2):
            loss = F.cross_entropy(PlainNetwork()(episodes.support_x[t], adapted), episodes.support_y[t])
            names = [name for name in adapted if not name.endswith(("gamma", "beta"))]
            gradients = torch.autograd.grad(loss, [adapted[n] for n in names], create_graph=not first_order)
            adapted |= {n: adapted[n] - 0.3 * g for n, g in zip(names, gradients, strict=True)}
        losses.append(F.cross_entropy(PlainNetwork()(episodes.query_x[t], adapted), episodes.query_y[t]))
    reference = torch.stack(losses).mean()
    torch.testing.assert_close(model.outer_loss(episodes), reference, rtol=1e-10, atol=1e-12)
    expected = torch.autograd.grad(reference, list(weights.values()))
    for ours, theirs in zip(meta_gradient(model, episodes), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_step_of_size_zero_leaves_the_plain_query_loss():
    model, episodes = learner(inner_rate=0.0), tasks()
    plain = F.cross_entropy(
        model.net(episodes.query_x, Statistics.batch()).flatten(0, 1), episodes.query_y.flatten()
    )
    torch.testing.assert_close(model.outer_loss(episodes), plain)
    for ours, theirs in zip(
        meta_gradient(model, episodes), torch.autograd.grad(plain, list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


class Constant(nn.Module):
    """A network that ignores its input and predicts one learned number."""

    def __init__(self):
        super().__init__()
        self.value = Linear(1, 1)

    def forward(self, x, statistics):
        return self.value(torch.zeros_like(x))


@pytest.mark.parametrize("steps", [1, 4])
def test_the_closed_form_of_a_quadratic(steps):
    """Loss (theta - a)^2: phi = a + (1 - 2 rate)^J (theta - a); the meta-gradient carries the same factor."""
    spec = TaskSpec("toy", "regression", (1,), 1, 1)
    model = MAML(spec, MAML.Params(backbone="mlp", hidden=1, inner_rate=0.1, inner_steps=steps)).double()
    model.net = Constant()
    model.net.value.bias.data.fill_(2.0)
    a, b = torch.tensor([[[0.5]], [[-1.0]]]), torch.tensor([[[3.0]], [[4.0]]])
    x = torch.zeros(2, 1, 1)
    shrink = 0.8**steps
    phi, _ = model.adapt(x, a, 1)
    torch.testing.assert_close(phi["value.bias"], (a + shrink * (2.0 - a))[:, 0])
    model.outer_loss(Episodes(x, a, x, b, 1)).backward()
    expected = (2 * shrink * (a + shrink * (2.0 - a) - b)).mean()
    torch.testing.assert_close(model.net.value.bias.grad, expected.view(1))


def test_the_sum_over_classes_is_a_larger_step():
    """The released code's loss is way times the mean: its rate 0.1 equals 0.1 * way here."""
    episodes = tasks()
    summed = learner(inner_reduction="sum", inner_rate=0.1)
    scaled = learner(inner_rate=0.1 * planted.WAY)
    torch.testing.assert_close(summed.outer_loss(episodes), scaled.outer_loss(episodes))


def test_testing_builds_no_graph_and_may_take_more_steps():
    model, episodes = learner(inner_steps=1, test_steps=4).eval(), tasks()
    with torch.no_grad():
        weights, _ = model.adapt(episodes.support_x, episodes.support_y, planted.WAY)
    assert not any(w.requires_grad for w in weights.values())
    model.train()
    one, _ = model.adapt(episodes.support_x, episodes.support_y, planted.WAY)
    assert not torch.allclose(one["head.weight"], weights["head.weight"])


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="MAML has a head for 3 classes and cannot do 5-way tasks"):
        learner().adapt(torch.rand(1, 5, 1, 28, 28), torch.arange(5).unsqueeze(0), 5)


@pytest.mark.parametrize("head_init", ["shared", "zero"])
@pytest.mark.parametrize("kind", [MAML, FOMAML])
def test_a_head_without_class_order_takes_any_way_and_follows_a_renaming(kind, head_init):
    """Card E5: training and test in 5-way tasks with a learner made for 3-way ones; exactly equivariant."""
    model = learner(kind, head_init=head_init, inner_steps=2, test_steps=4)
    drawn = planted.sampler("ways", "test").sample(3, 5, 2, 4)
    support, query = drawn.support_x.double(), drawn.query_x.double()
    names = torch.tensor([4, 2, 0, 1, 3])
    for mode in (model.train(), model.eval()):
        logits = mode.predict(mode.adapt(support, drawn.support_y, 5), query)
        renamed = mode.predict(mode.adapt(support, names[drawn.support_y], 5), query)
        assert logits.shape == (3, 20, 5)
        torch.testing.assert_close(renamed[..., names], logits)


def test_a_shared_head_is_a_free_head_with_equal_columns():
    """The loss is that of the free head; the gradient of the one vector is the sum of its copies' gradients."""
    shared, free, episodes = learner(head_init="shared", inner_steps=2), learner(inner_steps=2), tasks()
    free.net.backbone = shared.net.backbone
    free.net.head.weight.data.copy_(shared.net.head.weight.detach().expand(planted.WAY, -1))
    torch.testing.assert_close(shared.outer_loss(episodes), free.outer_loss(episodes))
    ours, theirs = meta_gradient(shared, episodes), meta_gradient(free, episodes)
    summed = [g.sum(0, keepdim=True) if len(g) == planted.WAY else g for g in theirs]
    for a, b in zip(ours, summed, strict=True):
        torch.testing.assert_close(a, b)


def test_a_head_of_zeros_is_not_learned_and_its_first_step_leaves_the_body():
    model, episodes = learner(head_init="zero", inner_steps=1), tasks()
    adapted, _ = model.adapt(episodes.support_x, episodes.support_y, planted.WAY)
    for name, w in model.net.backbone.named_parameters():
        if f"backbone.{name}" in adapted:
            torch.testing.assert_close(adapted[f"backbone.{name}"], w.expand(3, *w.shape), rtol=0, atol=0)
    assert adapted["head.weight"].abs().min() > 0
    model.outer_loss(episodes).backward()
    assert model.net.head.weight.grad is None and model.net.backbone.blocks[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["maml", "fomaml", "mamlpp", "sca", "anil", "reptile", "scratch"])
def test_the_test_steps_of_a_trained_learner_may_be_changed(name):
    """After 0, 1, 2 ... steps: zero is the initialisation, the default comes back, one step more is one more."""
    model, episodes = planted.small(algos.load(name), test_steps=3).double(), tasks()

    def logits(steps):
        model.test_steps = steps
        return planted.predictions(model, episodes, transductive=True)

    default = planted.predictions(model, episodes, transductive=True)
    by_steps = [logits(steps) for steps in range(5)]
    torch.testing.assert_close(by_steps[3], default, rtol=0, atol=0)
    own = planted.predictions(planted.small(algos.load(name), test_steps=4).double(), episodes, True)
    torch.testing.assert_close(by_steps[4], own)
    model.test_steps = 0
    other = dataclasses.replace(episodes, support_y=episodes.support_y.flip(1))
    torch.testing.assert_close(planted.predictions(model, other, True), by_steps[0], rtol=0, atol=0)
    moved = [(a - b).abs().max() for a, b in zip(by_steps, by_steps[1:], strict=False)]
    assert min(moved) > 1e-6


def test_a_bias_transformation_makes_the_step_of_a_bias_bilinear():
    """Weights C and constants z act as a bias c = C z; with d the gradient of c, one step of rate r makes it
    (C - r d z')(z - r C'd) = c - r (|z|^2 d + C C'd) + r^2 (z'C'd) d, where a plain bias gets c - r d.
    """
    spec, values = TaskSpec("toy", "regression", (1,), 1, 1), {"backbone": "mlp", "hidden": 5, "depth": 1}
    model = MAML(spec, MAML.Params(**values, bias_transform=3, inner_rate=0.1)).double()
    x, y = torch.randn(2, 6, 1), torch.randn(2, 6, 1)
    layer, start = model.net.backbone.layers[0], model.net.backbone.transform
    assert start.tolist() == [0, 0, 0]
    start.data = torch.tensor([0.3, -0.5, 0.8])
    plain = MAML(spec, MAML.Params(**values, inner_rate=0.1)).double()
    plain.net.head.load_state_dict(model.net.head.state_dict())
    weight, constant = layer.weight.detach()[:, :1], layer.weight.detach()[:, 1:] @ start.detach()
    plain.net.backbone.layers[0].weight.data = weight
    plain.net.backbone.layers[0].bias.data = layer.bias.detach() + constant
    torch.testing.assert_close(model.net(x, Statistics.batch()), plain.net(x, Statistics.batch()))
    ours, theirs = model.adapt(x, y, 1)[0], plain.adapt(x, y, 1)[0]
    name, c, z = "backbone.layers.0", layer.weight.detach()[:, 1:], start.detach()
    moved = torch.einsum("bhz,bz->bh", ours[f"{name}.weight"][..., 1:], ours["backbone.transform"])
    d = (plain.net.backbone.layers[0].bias - theirs[f"{name}.bias"]) / 0.1
    expected = c @ z - 0.1 * (z @ z * d + d @ (c @ c.T)) + 0.01 * (d @ c @ z).unsqueeze(1) * d
    torch.testing.assert_close(moved, expected)
    torch.testing.assert_close(layer.bias - ours[f"{name}.bias"], 0.1 * d)
    model.outer_loss(Episodes(x, y, x, y, 1)).backward()
    assert start.grad.abs().min() > 0


def test_depth_and_bias_transformation_are_refused_by_other_networks():
    for values in ({"depth": 3}, {"bias_transform": 10}):
        with pytest.raises(ValueError, match="'conv4_stride' has a fixed depth and no bias transformation"):
            learner(**values)
