"""Layers whose every parameter may carry a leading task dimension.

Activations are `[B, n, ...]`: B tasks of n images. A parameter is either shared (`[O, C, k, k]`) or one per task
(`[B, O, C, k, k]`, put in place by `torch.func.functional_call`), so that the inner loop of a batch of tasks is one set
of tensor operations.

Batch norm has three forms: PyTorch's kernel for the maps of one task, one for those of all tasks at once, written out, and
for images one that goes into the filters. In all, the caller chooses the source of the statistics. (Under vmap, the native
layers' second derivatives are wrong.)
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE_CHANNELS = 3
"""Inputs of at most so many channels are images: patches of 3x3 pixels have 27 numbers."""


class Statistics:
    """Source of the mean and variance of batch norm, and a record of those used.

    `Statistics.batch()`: those of the input, per task (transductive if the input holds several queries); the form of
    batch norm depends on whether the pass is differentiated twice (`second_order`). `Statistics.running()`: the averages
    kept over meta-training. `Statistics.of(other)`: those that another pass used, for example that of the support set.
    """

    def __init__(self, mode: str, given: dict | None = None, second_order: bool = False):
        self.mode, self.given, self.second_order, self.used = mode, given, second_order, {}

    @classmethod
    def batch(cls, second_order: bool = False) -> "Statistics":
        return cls("batch", second_order=second_order)

    @classmethod
    def running(cls) -> "Statistics":
        return cls("running")

    @classmethod
    def of(cls, other: "Statistics") -> "Statistics":
        return cls("given", other.used)

    def remember(self) -> None:
        """Update the running averages of each layer with the statistics of this pass."""
        with torch.no_grad():
            for layer, (mean, variance, count) in self.used.items():
                layer.update_running(mean, variance, count)


def conv2d(x: Tensor, weight: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
    """Convolve `[B, n, C, H, W]` with shared `[O, C, k, k]` or per-task `[B, O, C, k, k]` filters -> `[B, n, O, H', W']`."""
    if weight.ndim == 4:
        return F.conv2d(x.flatten(0, 1), weight, stride=stride, padding=padding).unflatten(0, x.shape[:2])
    y = F.conv2d(_merged(x), weight.flatten(0, 1), stride=stride, padding=padding, groups=len(x))
    return _split(y, len(x))


def _merged(x: Tensor) -> Tensor:
    """`[B, n, C, H, W]` -> `[n, B * C, H, W]`; on a CPU with channels innermost, which its kernels prefer."""
    if x.device.type == "cpu":
        return x.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
    return x.transpose(0, 1).flatten(1, 2)


def _split(y: Tensor, tasks: int) -> Tensor:
    """The reverse of `_merged`; a view, as is what `_merged` then makes of it."""
    return y.unflatten(1, (tasks, -1)).transpose(0, 1)


def per_task(parameter: Tensor, shared_ndim: int) -> Tensor:
    """Give a shared parameter a task dimension of size 1, so that both forms broadcast alike: `[...]` -> `[1 or B, ...]`."""
    return parameter if parameter.ndim > shared_ndim else parameter.unsqueeze(0)


class InputNorm(nn.Module):
    """Per-channel (x - mean) / std of images `[B, n, C, H, W]` in [0, 1]; mean and std are constants of the data set."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Linear(nn.Module):
    """`[B, n, D]` -> `[B, n, K]` with weight `[K, D]` or `[B, K, D]`."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = per_task(self.weight, 2), per_task(self.bias, 1)
        return x @ weight.transpose(1, 2) + bias.unsqueeze(1)


class ConvNorm(nn.Module):
    """Convolution, batch norm, optional max-pooling, optional (leaky) ReLU: `[B, n, C, H, W]` -> `[B, n, O, H', W']`.

    There is no bias before batch norm, where it has no effect. The sign of gamma is folded into the filters, so that
    pooling can come before the affine map and the ReLU: max(g * a) = g * max(a) for g > 0, and both are monotone.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
        pool: tuple[int, int] | None = (2, 2),
        slope: float | None = 0.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ):
        super().__init__()
        self.stride, self.padding, self.pool, self.slope = stride, padding, pool, slope
        self.eps, self.momentum = eps, momentum
        self.training_dtype: torch.dtype | None = None  # see `train_in`
        bound = math.sqrt(6 / ((inputs + outputs) * kernel * kernel))  # Xavier uniform
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel).uniform_(-bound, bound))
        self.gamma = nn.Parameter(torch.ones(outputs))
        self.beta = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("running_mean", torch.zeros(outputs))
        self.register_buffer("running_variance", torch.ones(outputs))

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        if statistics.mode == "running" and self.weight.ndim == 4 and self.gamma.ndim == 1:
            given = self.running_mean, self.running_variance
            y, *_ = self._native(x.flatten(0, 1), self._filters(x), self.gamma, self.beta, given)
            return y.unflatten(0, x.shape[:2])
        if statistics.mode == "batch" and self.weight.shape[-3] <= IMAGE_CHANNELS and not x.requires_grad:
            return self._of_images(x, statistics)
        return self._of_maps(x, statistics)

    def _of_maps(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Process images or maps with the form of batch norm that is faster here."""
        # A CPU is faster by one task at a time, whose maps stay in its cache. Not so second derivatives: those of PyTorch's
        # batch norm are many small operations (benchmarks/, case convolutions).
        together = x.device.type != "cpu" or statistics.second_order
        return self._together(x, statistics) if together and len(x) > 1 else self._by_task(x, statistics)

    def _of_images(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Process images: the moments of a convolution follow from those of its patches, so batch norm goes into the filters."""
        kernel, gamma, beta = self.weight.shape[-1], per_task(self.gamma, 1), per_task(self.beta, 1)
        filters, dtype = per_task(self.weight.flatten(-3), 2), self._dtype(x)
        patches = F.unfold(x.flatten(0, 1), kernel, stride=self.stride, padding=self.padding).transpose(1, 2)
        mean, variance = _of_patches(filters, patches.unflatten(0, x.shape[:2]))
        patches = patches.reshape(len(x), -1, patches.shape[2])
        statistics.used[self] = (mean.detach(), variance.detach(), patches.shape[1])
        scale = gamma * torch.rsqrt(variance + self.eps)
        y = patches.to(dtype) @ (filters * scale[..., None]).to(dtype).transpose(1, 2)
        height, width = ((side + 2 * self.padding - kernel) // self.stride + 1 for side in x.shape[3:])
        y = y.view(-1, height, width, y.shape[2]).permute(0, 3, 1, 2)
        if self.pool:
            y = F.max_pool2d(y, *self.pool)
        return self._activated(y.to(x.dtype).unflatten(0, x.shape[:2]) + _spread(beta - mean * scale))

    def _by_task(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Process one task at a time by PyTorch's own kernels."""
        given = [None] * len(x)
        if statistics.mode != "batch":
            mean, variance = (part.expand(len(x), -1) for part in self._known(statistics))
            given = list(zip(mean, variance, strict=True))
        own = ((self._filters(x), 4), (self.gamma, 1), (self.beta, 1))
        parts = (w.unbind() if w.ndim > shared_ndim else [w] * len(x) for w, shared_ndim in own)
        found = [self._native(*task) for task in zip(x.unbind(), *parts, given, strict=True)]
        y, mean, variance, counts = zip(*found, strict=True)
        if statistics.mode == "batch":
            statistics.used[self] = (torch.stack(mean), torch.stack(variance), counts[0])
        return torch.stack(y)

    def _filters(self, x: Tensor) -> Tensor:
        """Filters of all tasks in the type and memory format that `_native` needs for inputs like x."""
        weight = self.weight.to(self._dtype(x))
        if weight.ndim == 4:
            return _channels_last(weight)
        return _channels_last(weight.flatten(0, 1)).unflatten(0, weight.shape[:2])

    def _native(
        self, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, given: tuple[Tensor, Tensor] | None
    ) -> tuple:
        """Process images `[n, C, H, W]` of one task; also return the mean and variance used and the count of values behind them."""
        kind = x.dtype
        x = _channels_last(x.to(weight.dtype))
        y = F.conv2d(x, weight, stride=self.stride, padding=self.padding)
        count = y.shape[0] * y.shape[2] * y.shape[3]
        if given is None:
            y, mean, deviation = torch.native_batch_norm(y, gamma, beta, None, None, True, 0.0, self.eps)
            mean, variance = mean.detach(), deviation.detach() ** -2 - self.eps
        else:
            mean, variance = given
            y = F.batch_norm(y, mean, variance, gamma, beta, False, 0.0, self.eps)
        if self.pool:
            y = F.max_pool2d(y, *self.pool)
        return self._activated(y).to(kind), mean, variance, count

    def _together(self, x: Tensor, statistics: Statistics) -> Tensor:
        gamma, beta = per_task(self.gamma, 1), per_task(self.beta, 1)
        weight, sign = self.weight, torch.ones_like(gamma)
        if self.pool:
            sign = torch.where(gamma < 0, -1.0, 1.0).to(gamma.dtype)
            weight = weight * (sign if weight.ndim == 5 else sign[0])[..., None, None, None]
        dtype = self._dtype(x)
        y = conv2d(x.to(dtype), weight.to(dtype), self.stride, self.padding).to(x.dtype)
        mean, variance = self._moments(y, sign, statistics)
        if self.pool:
            y = _split(F.max_pool2d(_merged(y), *self.pool), len(y))
        scale = gamma * sign * torch.rsqrt(variance + self.eps)
        y = y * _spread(scale) + _spread(beta - mean * sign * scale)
        return self._activated(y)

    def _activated(self, y: Tensor) -> Tensor:
        return y if self.slope is None else F.leaky_relu(y, self.slope) if self.slope else F.relu(y)

    def _dtype(self, x: Tensor) -> torch.dtype:
        return self.training_dtype if self.training and self.training_dtype else x.dtype

    def _known(self, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Mean and variance `[B or 1, O]` where they do not come from the input."""
        if statistics.mode == "running":
            return self.running_mean.unsqueeze(0), self.running_variance.unsqueeze(0)
        return statistics.given[self][:2]

    def _moments(self, y: Tensor, sign: Tensor, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Mean and variance `[B or 1, O]` of the convolution before the sign is folded in."""
        if statistics.mode != "batch":
            return self._known(statistics)
        count = y.shape[1] * y.shape[3] * y.shape[4]
        mean = y.sum((1, 3, 4)) / count  # divided once, not each gradient
        variance = (y - _spread(mean)).square().sum((1, 3, 4)) / count
        mean = mean * sign
        statistics.used[self] = (mean, variance, count)
        return mean, variance

    def update_running(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running averages towards mean and (biased) variance `[B, O]` of `count` values each."""
        unbiased = variance * count / max(count - 1, 1)
        self.running_mean.lerp_(mean.mean(0), self.momentum)
        self.running_variance.lerp_(unbiased.mean(0), self.momentum)


def _of_patches(filters: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance `[B, O]` of filters `[1 or B, O, D]` times patches `[B, n, L, D]` of n images.

    Sums over images are in float64: a filter of differences has a variance far below that of the pixels.
    """
    mean = patches.mean(2).double().mean(1, keepdim=True)
    squares = (patches.mT @ patches).double().sum(1) / patches[0, ..., 0].numel()
    filters = filters.double()
    variance = (filters @ (squares - mean.mT @ mean) * filters).sum(-1).clamp_min(0)
    return (filters @ mean.mT).squeeze(-1).to(patches.dtype), variance.to(patches.dtype)


def train_in(network: nn.Module, dtype: torch.dtype) -> None:
    """Let the convolutions of a network compute in this type in training mode.

    bfloat16 halves the memory and the traffic of their maps. Weights, statistics, everything after the convolutions and
    all of evaluation keep their type.
    """
    for layer in network.modules():
        if isinstance(layer, ConvNorm):
            layer.training_dtype = dtype


def _channels_last(x: Tensor) -> Tensor:
    """Reorder memory so that channels are innermost. A single channel already is; only its strides must say so."""
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    x = x.contiguous()
    return x.as_strided(x.shape, (x.stride(0), 1, x.stride(2), 1))


def _spread(per_channel: Tensor) -> Tensor:
    """`[B, O]` -> `[B, 1, O, 1, 1]`."""
    return per_channel[:, None, :, None, None]
