"""Floating-point operations of a piece of work, counted while it runs: what a step costs on any machine."""

from collections.abc import Callable
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

aten = torch.ops.aten


def gflops(work: Callable[[], object]) -> float:
    """Billions of operations that `work()` executes, a multiplication and an addition being two.

    Counted by PyTorch's FlopCounterMode from the shapes of matrix products and convolutions, backward passes and what is
    computed again included; `FORMULAS` adds recurrent kernels and distances, and mends one count. Not counted: whatever
    goes element by element (batch norm, activations, pooling, softmax, the optimiser, distances written out) and the
    factorisations and triangular solves of small systems. A padded border counts as if it were image.
    """
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        work()
    return counter.get_total_flops() / 1e9


def _convolution_backward(grad, x, weight, bias, stride, padding, dilation, transposed, *rest, **_) -> int:
    """Each gradient asked for costs as much as the convolution; PyTorch counts that of grouped filters once per group."""
    wanted = rest[2]  # after output_padding and groups: input, weight, bias
    return conv_flop_count(x, weight, grad, transposed) * sum(wanted[:2])


def _recurrent(x, *weights, **_) -> int:
    """One product with each weight matrix at every time step of every sequence: x `[T, N, I]` or `[N, T, I]`."""
    return 2 * prod(x[:2]) * sum(prod(w) for w in weights if len(w) == 2)


def _one_layer(x, *arguments, **_) -> int:
    return _recurrent(x, *arguments[:2])


def _cudnn(x, weights, *_, **__) -> int:
    return _recurrent(x, *weights)


def _twice(formula: Callable[..., int]) -> Callable[..., int]:
    """Backward of a product: one for the input, one for the weights."""
    return lambda *arguments, **keywords: 2 * formula(*arguments, **keywords)


def _distances(a, b, *_, **__) -> int:
    """As the matrix product that is most of it: `[..., P, D]`, `[..., R, D]`."""
    return 2 * prod(a) * b[-2]


FORMULAS = {
    aten.convolution_backward: _convolution_backward,
    aten.mkldnn_rnn_layer: _one_layer,
    aten.mkldnn_rnn_layer_backward: _twice(_one_layer),
    aten._cudnn_rnn: _cudnn,
    aten._cudnn_rnn_backward: _twice(_cudnn),
    aten._cdist_forward: _distances,
    aten._euclidean_dist: _distances,
    aten.mv: lambda matrix, vector, **_: 2 * prod(matrix),
}
"""Operations from the shapes of an operator's arguments, for operators that PyTorch counts not at all or wrongly."""
