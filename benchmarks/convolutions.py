"""Case `convolutions`: the two forms of the blocks after the first with per-task filters, by the number of images per task.

Both are measured inside the network that uses them, because the cost of a form depends on the memory layout that it
leaves to the next layer.
"""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch
from torch import Tensor
from torch.func import functional_call

from algos.nets.conv4 import Conv4
from algos.nets.layers import ConvNorm, Statistics
from benchmarks.timing import Comparison, Scale, local

ORDERS = {"forward and backward": False, "with second-order backward": True}


BACK_ENDS = {"a task at a time": ConvNorm._by_task, "all tasks at once": ConvNorm._together}


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    check_equal(device)
    net = Conv4((1, 28, 28), scale.hidden).to(device)
    weights = per_task_filters(net, scale.tasks)
    for order, second in ORDERS.items():
        for images in scale.set_sizes:
            x = torch.rand(scale.tasks, images, 1, 28, 28, device=device)
            variants = [
                local(name, scale.tasks * images, _run(back_end, net, weights, x, second), device)
                for name, back_end in BACK_ENDS.items()
            ]
            noun = "image" if images == 1 else "images"
            yield Comparison(
                "convolutions", f"{scale.tasks} tasks of {images} {noun}, {order}", "images", variants
            )


def per_task_filters(net: Conv4, tasks: int) -> dict[str, Tensor]:
    """Return filters `[tasks, O, C, k, k]` by name; scale and shift stay shared, as in MAML's inner loop."""
    return {
        name: w.detach().repeat(tasks, 1, 1, 1, 1).requires_grad_()
        for name, w in net.named_parameters()
        if name.endswith("weight")
    }


def _run(back_end: Callable, net: Conv4, weights: dict[str, Tensor], x: Tensor, second: bool) -> Callable:
    return lambda: gradients(back_end, net, weights, x, second)


def gradients(
    back_end: Callable, net: Conv4, weights: dict[str, Tensor], x: Tensor, second: bool
) -> tuple[Tensor, ...]:
    """Return the gradients of the mean squared features with respect to the filters.

    second: return the gradients of the sum of squares of those gradients instead.
    """
    with patch.object(ConvNorm, "_of_maps", back_end):
        features = functional_call(net, weights, (x, Statistics.batch()))
    leaves = list(weights.values())
    first = torch.autograd.grad(features.square().mean(), leaves, create_graph=second)
    return torch.autograd.grad(sum(g.square().sum() for g in first), leaves) if second else first


def check_equal(device: torch.device) -> None:
    """Raise AssertionError unless both forms and the one in use give the same gradients in float64."""
    net = Conv4((1, 28, 28), 4).double().to(device)
    x = torch.rand(2, 3, 1, 28, 28, dtype=torch.float64, device=device)
    weights = per_task_filters(net, 2)
    for second in ORDERS.values():
        reference = gradients(ConvNorm._of_maps, net, weights, x, second)
        for back_end in BACK_ENDS.values():
            for a, b in zip(gradients(back_end, net, weights, x, second), reference, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)
