"""Counted operations against counts by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import algos
from algos.base import TaskSpec
from bench.protocol.flops import FORMULAS, gflops
from tasks.functions import FunctionSampler
from tasks.seeds import torch_generator
from tasks.sinusoid import Sinusoids
from tests import planted

TASKS, SHOT, QUERY, HIDDEN = 3, 5, 4, 8


def flops(work) -> int:
    return round(1e9 * gflops(work))


def test_a_convolution_and_a_linear_layer_by_hand():
    """Two operations for each weight at each place; the gradients of input and of weights cost the same again."""
    convolution, linear = nn.Conv2d(3, 5, kernel_size=3, padding=1), nn.Linear(5 * 8 * 8, 7)
    x = torch.randn(2, 3, 8, 8)
    conv, lin = 2 * 2 * (8 * 8) * 5 * 3 * 9, 2 * 2 * (5 * 8 * 8) * 7

    def forward():
        return linear(convolution(x).relu().flatten(1)).sum()

    assert flops(forward) == conv + lin
    assert flops(lambda: forward().backward()) == (conv + conv) + (lin + 2 * lin), "x needs no gradient"
    x.requires_grad_()
    assert flops(lambda: forward().backward()) == 3 * conv + 3 * lin


@pytest.mark.parametrize("stride", [1, 2])
def test_grouped_filters_cost_what_they_cost_one_by_one(stride):
    """The per-task convolutions of a meta-batch; PyTorch's own formula counts their gradient once per group."""
    x, weight = (
        torch.randn(2, 4 * 3, 8, 8, requires_grad=True),
        torch.randn(4 * 5, 3, 3, 3, requires_grad=True),
    )
    together = flops(lambda: F.conv2d(x, weight, stride=stride, padding=1, groups=4).sum().backward())
    parts = zip(x.chunk(4, 1), weight.chunk(4), strict=True)
    alone = [
        flops(lambda a=a, w=w: F.conv2d(a, w, stride=stride, padding=1).sum().backward()) for a, w in parts
    ]
    assert together == sum(alone) == 3 * 4 * (2 * 2 * (8 // stride) ** 2 * 5 * 3 * 9)


def test_a_recurrent_kernel_counts_as_the_products_it_is_made_of():
    """In double precision PyTorch has no kernel of one piece: the products are counted one by one."""
    lstm, x = nn.LSTM(7, 5, bidirectional=True, batch_first=True), torch.randn(3, 4, 7)
    fused = flops(lambda: lstm(x))
    shapes = [w.shape for w in lstm.parameters()]
    by_hand = 2 * 2 * (3 * 4) * (4 * 5) * (7 + 5)  # directions, two operations, tokens, gates, inputs
    assert fused == flops(lambda: lstm.double()(x.double())) == by_hand
    lstm.float()
    assert flops(lambda: lstm(x)[0].sum().backward()) == 3 * by_hand
    assert FORMULAS[torch.ops.aten._cudnn_rnn](x.shape, shapes, 4, None) == by_hand
    assert FORMULAS[torch.ops.aten._cudnn_rnn_backward](x.shape, shapes, 4, None) == 2 * by_hand


@pytest.mark.parametrize("queries", [9, 30])
def test_distances_and_products_with_a_vector(queries):
    """PyTorch has two kernels, for few points and for many."""
    a, b = torch.randn(2, queries, 6), torch.randn(2, 4, 6)
    assert flops(lambda: torch.cdist(a, b)) == 2 * 2 * queries * 4 * 6
    assert flops(lambda: a[0] @ b[0, 0]) == 2 * queries * 6


def regression(name, **values):
    spec = TaskSpec("sinusoid", "regression", (1,), 1, SHOT)
    values = dict(hidden=HIDDEN, meta_batch=TASKS, inner_steps=1, train_shot=SHOT, train_query=QUERY) | values
    learner = algos.load(name)
    return learner(spec, learner.resolve(name, spec, values)).train()


def meta_update(learner) -> int:
    optimizer = torch.optim.Adam(learner.parameters())
    sampler = FunctionSampler(torch_generator("cpu", "flops"), Sinusoids())
    return flops(lambda: learner.meta_update(sampler, optimizer))


def test_a_meta_update_of_first_order_maml_by_hand():
    """The network 1 -> h -> h -> 1, there and back, on the support, then on the queries; x needs no gradient."""
    per_point = 2 * (HIDDEN + HIDDEN * HIDDEN + HIDDEN)
    there_and_back = 3 * per_point - 2 * HIDDEN
    assert meta_update(regression("fomaml")) == TASKS * (SHOT + QUERY) * there_and_back


def test_second_order_costs_more_and_more_steps_cost_more():
    first, second = meta_update(regression("fomaml")), meta_update(regression("maml"))
    assert first < second < 3 * first
    assert second < meta_update(regression("maml", inner_steps=2)) < 2 * second


@pytest.mark.parametrize("name", ["fomaml", "maml", "reptile", "metanet"])
def test_a_task_costs_the_same_in_every_meta_batch(name):
    """Also where the tasks of a batch share one grouped convolution."""
    costs = []
    for size in (1, 4):
        learner = planted.small(algos.load(name), meta_batch=size).train()
        optimizer = torch.optim.Adam(learner.parameters())
        costs.append(gflops(lambda a=learner, b=optimizer: a.meta_update(planted.sampler(), b)) / size)
    assert costs[0] == pytest.approx(costs[1], rel=1e-9)


def test_what_is_counted_is_also_done():
    """Counting changes neither result nor gradient beyond rounding."""
    learner, episodes = planted.small(algos.load("maml")).train(), planted.episodes()
    plain, counted = learner.outer_loss(episodes), []
    assert gflops(lambda: counted.append(learner.outer_loss(episodes))) > 0
    torch.testing.assert_close(counted[0], plain)
