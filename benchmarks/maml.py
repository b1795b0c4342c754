"""Case `maml`: a second-order meta-step on 5-way 1-shot tasks with 5 queries per class."""

from collections.abc import Iterator

import torch
from torch import nn

from algos.optimization.maml import MAML
from benchmarks import plain, synthetic
from benchmarks.timing import Comparison, Scale, local
from tasks.episodes import Episodes

CHECK = {"hidden": 8, "tasks": 2}


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    for form in ("conv4", "conv4_stride"):
        for steps in (1, 5):
            check_equal(form, steps, device)
            model = synthetic.learner(MAML, device, backbone=form, hidden=scale.hidden, inner_steps=steps)
            episodes = synthetic.episodes(scale.tasks, 5, 1, 5, device)
            yield Comparison(
                "maml",
                f"{form}, {steps} inner step{'s' * (steps > 1)}",
                "tasks",
                [
                    local("loop over tasks", scale.tasks, PlainStep(model, episodes), device),
                    local("ours", scale.tasks, OurStep(model, episodes), device),
                ],
            )


class OurStep:
    """`meta_update` on the same episodes each time, at a rate of zero: the full work, but constant weights."""

    def __init__(self, model: MAML, episodes: Episodes):
        self.model, self.episodes = model.train(), episodes
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.0)

    def sample(self, *_: int) -> Episodes:
        return self.episodes

    def __call__(self) -> torch.Tensor:
        return self.model.meta_update(self, self.optimizer)


class PlainStep:
    """The same step, written as a loop over tasks."""

    def __init__(self, model: MAML, episodes: Episodes):
        self.params, self.episodes = model.params, episodes
        self.weights = {name: p.detach().clone().requires_grad_() for name, p in model.net.named_parameters()}
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=0.0)

    def __call__(self) -> torch.Tensor:
        p = self.params
        self.optimizer.zero_grad(set_to_none=True)
        loss = plain.maml_backward(self.weights, self.episodes, p.backbone, p.inner_steps, p.inner_rate)
        nn.utils.clip_grad_norm_(self.weights.values(), p.clip_norm)
        self.optimizer.step()
        return loss


def check_equal(form: str, steps: int, device: torch.device) -> None:
    """Raise AssertionError unless the loss and the clipped meta-gradient of both ways agree in float64."""
    kind = dict(backbone=form, hidden=CHECK["hidden"], inner_steps=steps)
    model = synthetic.learner(MAML, device, **kind).double()
    episodes = synthetic.double(synthetic.episodes(CHECK["tasks"], 5, 1, 5, device))
    reference = PlainStep(model, episodes)
    torch.testing.assert_close(OurStep(model, episodes)(), reference(), rtol=1e-9, atol=1e-12)
    for name, parameter in model.net.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.weights[name].grad, rtol=1e-6, atol=1e-9)
