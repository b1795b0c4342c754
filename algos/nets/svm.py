"""Multi-class support vector machines for a batch of tasks, differentiable through their optimality conditions."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ITERATIONS = 15
"""Newton steps of the interior-point method: enough for an error of 1e-11 in float64."""
LARGEST_BARRIER = 1e10


def crammer_singer(kernel: Tensor, one_hot: Tensor, cost: float, iterations: int = ITERATIONS) -> Tensor:
    """Dual variables A `[B, n, N]` of the SVM of Crammer & Singer (2001), as posed by Lee et al. (2019).

    A minimises <A, (K + I) A> / 2 - <Y, A> subject to A <= cost * Y and rows that sum to zero. kernel: K = XX' of the
    support features, `[B, n, n]`; one_hot: Y `[B, n, N]`. The gradient with respect to the kernel is implicit.
    Everything is solved in float64, whatever the type of the kernel, because the last systems are ill-conditioned.
    """
    targets = one_hot.transpose(1, 2).double()
    return _CrammerSinger.apply(kernel.double(), targets, cost, iterations).transpose(1, 2).to(kernel.dtype)


class _Newton:
    """Reduced system of one iteration: (K + I + diag d_c) a_c + v = r_c for each class c, and sum_c a_c = -e.

    The Hessian has the same block K + I for each class, so N factorisations of n x n suffice; the Kronecker product
    with its nN rows is never built.
    """

    def __init__(self, hessian: Tensor, barrier: Tensor):
        self.inverses = torch.cholesky_inverse(
            torch.linalg.cholesky(hessian.unsqueeze(1) + torch.diag_embed(barrier))
        )
        self.schur = torch.linalg.cholesky(self.inverses.sum(1))

    def solve(self, right: Tensor, excess: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Return a `[B, N, n]` and v `[B, 1, n]` for r = right `[B, N, n]` and e = excess `[B, 1, n]`."""
        free = self._apply(right)
        rows = free.sum(1, keepdim=True) + excess
        shared = torch.cholesky_solve(rows.transpose(1, 2), self.schur).transpose(1, 2)
        return free - self._apply(shared), shared

    def _apply(self, vectors: Tensor) -> Tensor:
        return (self.inverses @ vectors.unsqueeze(-1)).squeeze(-1)


class _CrammerSinger(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Tensor, targets: Tensor, cost: float, iterations: int) -> Tensor:
        hessian = kernel + torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
        dual, slack, multiplier = interior_point(hessian, targets, cost * targets, iterations)
        ctx.save_for_backward(hessian, dual, (multiplier / slack).clamp(max=LARGEST_BARRIER))
        return dual

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None, None]:
        """Solve the differentiated optimality conditions: one more system like those of the iterations."""
        hessian, dual, barrier = ctx.saved_tensors
        adjoint, _ = _Newton(hessian, barrier).solve(-signal)
        outer = adjoint.transpose(1, 2) @ dual
        return (outer + outer.transpose(1, 2)) / 2, None, None, None


def interior_point(
    hessian: Tensor, linear: Tensor, bound: Tensor, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mehrotra's predictor-corrector method for min <a, Ha> / 2 - <linear, a>, a <= bound, sum over classes = 0.

    hessian `[B, n, n]`; linear, bound `[B, N, n]`. Returns a and the slacks and multipliers of the bound, `[B, N, n]`
    each.
    """
    a, slack, multiplier = torch.zeros_like(linear), torch.ones_like(linear), torch.ones_like(linear)
    shared = torch.zeros_like(linear[:, :1])
    for _ in range(iterations):
        barrier = multiplier / slack
        newton = _Newton(hessian, barrier)
        bound_residual = a + slack - bound
        right = barrier * bound_residual + a @ hessian - linear + multiplier + shared
        excess = a.sum(1, keepdim=True)
        gap = slack * multiplier

        _, _, towards_s, towards_m = _direction(newton, gap / slack, right, excess, bound_residual, barrier)
        length = _length(1.0, slack, towards_s, multiplier, towards_m)
        predicted = (slack + length * towards_s) * (multiplier + length * towards_m)
        mean = gap.mean((1, 2), keepdim=True)
        centre = (predicted.mean((1, 2), keepdim=True) / mean) ** 3 * mean

        centring = (gap + towards_s * towards_m - centre) / slack
        steps = _direction(newton, centring, right, excess, bound_residual, barrier)
        length = _length(0.99, slack, steps[2], multiplier, steps[3])
        a, shared, slack, multiplier = (
            value + length * step for value, step in zip((a, shared, slack, multiplier), steps, strict=True)
        )
    return a, slack, multiplier


def _direction(
    newton: _Newton, centring: Tensor, right: Tensor, excess: Tensor, bound_residual: Tensor, barrier: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Steps of a, of the multipliers of the rows, of the slacks and of their multipliers."""
    step, shared_step = newton.solve(centring - right, excess)
    slack_step = -bound_residual - step
    return step, shared_step, slack_step, -centring - barrier * slack_step


def _length(share: float, slack: Tensor, slack_step: Tensor, multiplier: Tensor, step: Tensor) -> Tensor:
    """Step length of each task, `[B, 1, 1]`: `share` of the way to the first zero slack or multiplier, at most 1."""
    ratios = torch.cat([-slack_step / slack, -step / multiplier], dim=1)
    return share / ratios.amax((1, 2), keepdim=True).clamp(min=share)
