"""Case `protonet`: a training step on one 30-way 1-shot episode with 4 queries per class, for both malloc settings.

A malloc setting holds for a whole process and cannot be undone, so each has its own process.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context

import torch
from torch import Tensor, nn

from algos.metric.protonet import ProtoNet
from bench.protocol import machine
from bench.protocol.memory import keep_freed
from benchmarks import plain, synthetic
from benchmarks.maml import OurStep
from benchmarks.timing import Comparison, Scale, Variant, stopwatch
from tasks.episodes import Episodes

SHOT, QUERY = 1, 4
MALLOC = {"default malloc": False, "malloc keeps memory": True}
_steps: dict[str, Callable[[], Tensor]] = {}
_device = torch.device("cpu")


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    check_equal(device)
    with ExitStack() as processes:
        variants = []
        for setting, keep in MALLOC.items():
            if device.type == "cpu" or keep:  # a GPU has its own allocator
                child = ProcessPoolExecutor(1, get_context("spawn"), _start, (scale, device, keep))
                pool = processes.enter_context(child)
                variants += [
                    Variant(f"{name}, {setting}", 1, _remote(pool, name))
                    for name in ("native modules", "ours")
                ]
        title = f"training step, {scale.way}-way {SHOT}-shot {QUERY}-query"
        yield Comparison("protonet", title, "episodes", variants)


def _remote(pool: ProcessPoolExecutor, name: str) -> Callable[[int], tuple[float, float]]:
    return lambda runs: pool.submit(_time, name, runs).result()


def _start(scale: Scale, device: torch.device, keep: bool) -> None:
    """Prepare a child process; with `keep`, prepare the machine and keep freed memory, as trainings do."""
    global _device
    _device = machine.set_up(device.type, 1, tf32=True) if keep else device
    if keep:
        keep_freed(_device)
    torch.set_num_threads(1)
    episodes = synthetic.episodes(1, scale.way, SHOT, QUERY, _device)
    model = synthetic.learner(ProtoNet, _device, scale.way, hidden=scale.hidden)
    _steps.update({"native modules": PlainStep(model, episodes), "ours": OurStep(model, episodes)})


def _time(name: str, runs: int) -> tuple[float, float]:
    return stopwatch(_steps[name], runs, _device)


class PlainStep:
    """The same step with torch's own modules."""

    def __init__(self, model: ProtoNet, episodes: Episodes):
        weight = model.encoder.blocks[0].weight
        self.model, self.episodes, self.clip = (
            plain.ProtoNet(1, len(weight)),
            episodes,
            model.params.clip_norm,
        )
        self.model.to(weight).copy_weights(model.encoder.blocks)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.0)

    def __call__(self) -> Tensor:
        loss = self.model(self.episodes)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return loss.detach()


def check_equal(device: torch.device) -> None:
    """Raise AssertionError unless loss, clipped gradient and running statistics of both ways agree in float64."""
    model = synthetic.learner(ProtoNet, device, hidden=8).double()
    episodes = synthetic.double(synthetic.episodes(1, 5, SHOT, QUERY, device))
    reference = PlainStep(model, episodes)
    torch.testing.assert_close(OurStep(model, episodes)(), reference(), rtol=1e-9, atol=1e-12)
    for ours, (convolution, norm, *_) in zip(model.encoder.blocks, reference.model.encoder, strict=False):
        for a, b in (
            (ours.weight.grad, convolution.weight.grad),
            (ours.gamma.grad, norm.weight.grad),
            (ours.beta.grad, norm.bias.grad),
            (ours.running_mean, norm.running_mean),
            (ours.running_variance, norm.running_var),
        ):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
