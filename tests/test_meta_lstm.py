"""The meta-learner LSTM against SGD, torch's own LSTM cell, hand-computed gates and statistics (card 6)."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from algos.base import TaskSpec
from algos.nets.layers import Statistics
from algos.optimization.meta_lstm import MetaLSTM, UpdateRule, preprocess
from tasks.episodes import Episodes
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def learner(**values) -> MetaLSTM:
    torch.manual_seed(0)
    return MetaLSTM(planted.spec(), MetaLSTM.Params(hidden=4, **values)).double()


def regressor(**values) -> MetaLSTM:
    torch.manual_seed(0)
    spec = TaskSpec("toy", "regression", (1,), 1, 5)
    return MetaLSTM(spec, MetaLSTM.Params(backbone="mlp", hidden=8, **values)).double()


def waves(tasks=3) -> Episodes:
    x, y = torch.randn(2, tasks, 12, 1).unbind()
    return Episodes(x[:, :5], y[:, :5], x[:, 5:], y[:, 5:], way=1)


def images(count=3) -> Episodes:
    chosen = planted.episodes(tasks=count)
    return dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())


def fix_gates(model, forget: float, rate: float) -> None:
    """Make both gates constants, whatever they read."""
    with torch.no_grad():
        for weight in (model.rule.gate_hidden, model.rule.gate_weight, model.rule.gate_previous):
            weight.zero_()
        model.rule.gate_bias.copy_(torch.tensor([[forget], [rate]]).logit().clamp(-800, 40))


def adapted(model, tasks):
    return model.adapt(tasks.support_x, tasks.support_y, tasks.way)[0]


@pytest.mark.parametrize("kind", ["images", "regression"])
def test_input_gate_as_rate_and_forget_gate_one_is_sgd(kind):
    """Against torch.optim.SGD on one task at a time."""
    model, tasks = (learner(), images()) if kind == "images" else (regressor(), waves())
    fix_gates(model, forget=1.0, rate=0.05)
    ours = adapted(model, tasks)
    start = {name: w.detach().clone() for name, w in model.net.named_parameters()}
    for t in range(3):
        model.net.load_state_dict(start, strict=False)
        optimizer = torch.optim.SGD(model.net.parameters(), lr=0.05)
        for _ in range(5):
            output = model.net(tasks.support_x[t : t + 1], Statistics.batch())
            optimizer.zero_grad()
            model.loss(output, tasks.support_y[t : t + 1]).backward()
            optimizer.step()
        for name, w in model.net.named_parameters():
            torch.testing.assert_close(ours[name][t], w.detach(), rtol=1e-9, atol=1e-11)


def test_a_forget_gate_below_one_decays_the_weights():
    model, tasks = regressor(inner_steps=3), waves()
    fix_gates(model, forget=0.9, rate=0.0)
    for name, w in adapted(model, tasks).items():
        torch.testing.assert_close(w, 0.9**3 * model.net.get_parameter(name).expand_as(w))


def test_the_preprocessing():
    """Table of the card; continuous where the two branches meet."""
    x = torch.tensor([1.0, math.exp(-10), -math.exp(-10), 1e-6, 0.0, -3.0])
    expected = [[0, 1], [-1, 1], [-1, -1], [-1, 0.0220265], [-1, 0], [0.1098612, -1]]
    torch.testing.assert_close(preprocess(x).T, torch.tensor(expected), rtol=1e-5, atol=1e-7)
    edge = math.exp(-10) * torch.tensor([1 - 1e-9, 1 + 1e-9])
    torch.testing.assert_close(*preprocess(edge).T, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("feedback", ["logit", "gate"])
def test_the_rule_is_torchs_lstm_cell_and_the_papers_gates(feedback):
    """Three steps, weights of ordinary size, gates written out coordinate by coordinate."""
    rule, count = UpdateRule(5, feedback).double(), 7
    for parameter in rule.parameters():
        nn.init.normal_(parameter)
    cell = nn.LSTMCell(4, 5)
    read, keep, show, candidate = rule.weight.data.chunk(4)
    ordered = torch.cat([read, keep, candidate, show])
    cell.weight_ih.data, cell.weight_hh.data = ordered[:, :4], ordered[:, 4:]
    read, keep, show, candidate = rule.bias.data.chunk(4)
    cell.bias_ih.data = torch.cat([read, keep, candidate, show])[:, 0]
    cell.bias_hh.data.zero_()
    theta = torch.randn(count)
    state, known, previous, expected = rule.start(theta), None, torch.zeros(count, 2), theta.clone()
    for _ in range(3):
        gradient, loss = torch.randn(count), torch.rand(()).expand(count)
        theta, state = rule(theta, gradient, loss, state)
        known = cell(torch.cat([preprocess(loss).T, preprocess(gradient).T], dim=1), known)
        for n in range(count):
            logits = rule.gate_hidden @ known[0][n] + rule.gate_weight[:, 0] * expected[n]
            logits = logits + rule.gate_previous[:, 0] * previous[n] + rule.gate_bias[:, 0]
            forget, rate = logits.sigmoid()
            expected = expected.index_put((torch.tensor(n),), forget * expected[n] - rate * gradient[n])
            previous = previous.index_put(
                (torch.tensor(n),), logits if feedback == "logit" else logits.sigmoid()
            )
        torch.testing.assert_close(theta, expected)


def test_coordinates_do_not_mix():
    rule, order = UpdateRule(5, "logit").double(), torch.randperm(9)
    theta, gradient, loss = torch.randn(3, 9)
    state = rule(theta, gradient, loss, rule.start(theta))[1]
    plain, _ = rule(theta, gradient, loss, state)
    turned = type(state)(*(part[:, order] for part in state))
    permuted, _ = rule(theta[order], gradient[order], loss[order], turned)
    torch.testing.assert_close(permuted, plain[order])


def test_no_step_leaves_the_initial_cell():
    """Query loss of the learned initialisation; nothing reaches the update rule."""
    model, tasks = learner(inner_steps=0), images()
    loss = model.outer_loss(tasks)
    plain = model.net(tasks.query_x, Statistics.batch())
    torch.testing.assert_close(loss, F.cross_entropy(plain.flatten(0, 1), tasks.query_y.flatten()))
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.rule.parameters())
    assert all(p.grad.any() for p in model.net.parameters())


def test_the_initial_cell_gets_the_plain_gradient_when_the_gates_pass_it_through():
    model, tasks = learner(), images()
    fix_gates(model, forget=1.0, rate=0.0)
    ours = torch.autograd.grad(model.outer_loss(tasks), list(model.net.parameters()))
    plain = model.loss(model.net(tasks.query_x, Statistics.batch()), tasks.query_y)
    for a, b in zip(ours, torch.autograd.grad(plain, list(model.net.parameters())), strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_and_losses_are_constants():
    """No second order: with fixed gates the outer gradient is the query gradient at theta_T, times decay^T."""
    model, tasks = learner(inner_steps=3), images()
    assert not any(
        part.requires_grad for part in model._gradient(_cell(model), tasks.support_x, tasks.support_y)[:2]
    )
    fix_gates(model, forget=0.9, rate=0.5)
    ours = torch.autograd.grad(model.outer_loss(tasks), list(model.net.parameters()))
    final = {name: w.detach().requires_grad_() for name, w in adapted(model, tasks).items()}
    output = torch.func.functional_call(model.net, final, (tasks.query_x, Statistics.batch()))
    expected = torch.autograd.grad(model.loss(output, tasks.query_y), list(final.values()))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, 0.9**3 * b.sum(0))


def _cell(model):
    return torch.cat([w.flatten() for w in model.net.parameters()]).repeat(3)


def test_inductive_statistics_are_those_of_the_released_code():
    """Torch's own running averages over the support passes of this episode; no episode leaves a trace in the next."""
    model, tasks = learner(inner_steps=3, momentum=0.9).eval(), images(2)
    fix_gates(model, forget=0.8, rate=0.1)
    support, layer = tasks.support_x, model.net.backbone.blocks[0]
    reference = [nn.BatchNorm2d(4, momentum=0.9) for _ in range(2)]
    weights = [layer.weight.expand(2, -1, -1, -1, -1)]
    for steps in (1, 2):
        model.test_steps = steps
        weights.append(adapted(model, tasks)["backbone.blocks.0.weight"])
    for step, current in enumerate(weights):
        for t in range(2):
            if step == 0:  # the first pass replaces, the later ones move
                reference[t].momentum = 1.0
            reference[t].train()(F.conv2d(support[t], current[t], padding=1))
            reference[t].momentum = 0.9
    model.test_steps = 3
    _, statistics = model.adapt(support, tasks.support_y, tasks.way)
    mean, variance, _ = statistics.used[layer]
    torch.testing.assert_close(mean, torch.stack([r.running_mean for r in reference]))
    torch.testing.assert_close(variance, torch.stack([r.running_var for r in reference]))
    _, again = model.adapt(support, tasks.support_y, tasks.way)
    torch.testing.assert_close(again.used[layer][0], mean, rtol=0, atol=0)


def test_untrained_it_already_adapts():
    """It starts as SGD at 0.01: the support loss falls on every task."""
    model = learner().eval()
    tasks = images(10)
    model.test_steps = 0
    before = _support_loss(model, tasks)
    model.test_steps = 5
    assert (_support_loss(model, tasks) < before).all()


def _support_loss(model, tasks):
    weights = adapted(model, tasks)
    output = torch.func.functional_call(model.net, weights, (tasks.support_x, Statistics.batch()))
    return model._losses(output, tasks.support_y)


def test_testing_builds_no_graph_and_another_way_is_refused():
    model, tasks = learner().eval(), images()
    with torch.no_grad():
        assert not any(w.requires_grad for w in adapted(model, tasks).values())
    with pytest.raises(ValueError, match="has a head for 3 classes and cannot do 5-way tasks"):
        model.adapt(torch.rand(1, 5, 1, 28, 28), torch.arange(5).unsqueeze(0), 5)
