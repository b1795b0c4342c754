"""Case `maml`: a second-order meta-step on 5-way 1-shot tasks with 5 queries per class."""

from collections.abc import Iterator
from functools import partial
from types import ModuleType

import torch
from torch import nn

from algos.optimization.maml import MAML
from benchmarks import peers, plain, synthetic
from benchmarks.timing import Comparison, Scale, local
from tasks.episodes import Episodes

CHECK = {"hidden": 8, "tasks": 2}


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    libraries, missing = peers.importable()
    for form in ("conv4", "conv4_stride"):
        for steps in (1, 5):
            check_equal(form, steps, device)
            model = synthetic.learner(MAML, device, backbone=form, hidden=scale.hidden, inner_steps=steps)
            episodes = synthetic.episodes(scale.tasks, 5, 1, 5, device)
            ways = {"loop over tasks": PlainStep(model, episodes), "ours": OurStep(model, episodes)}
            ways |= {name: PeerStep(name, library, model, episodes) for name, library in libraries.items()}
            yield Comparison(
                "maml",
                f"{form}, {steps} inner step{'s' * (steps > 1)}",
                "tasks",
                [local(name, scale.tasks, step, device) for name, step in ways.items()],
                missing,
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
        p = self.params = model.params
        self.weights = {name: w.detach().clone().requires_grad_() for name, w in model.net.named_parameters()}
        self.backward = partial(
            plain.maml_backward, self.weights, episodes, p.backbone, p.inner_steps, p.inner_rate
        )
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=0.0)

    def __call__(self) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.backward()
        nn.utils.clip_grad_norm_(self.weights.values(), self.params.clip_norm)
        self.optimizer.step()
        return loss


class PeerStep(PlainStep):
    """The same step by a library."""

    def __init__(self, name: str, library: ModuleType, model: MAML, episodes: Episodes):
        super().__init__(model, episodes)
        network, p = peers.Network(self.weights, self.params.backbone), self.params
        self.weights = network.weights()
        self.backward = partial(
            peers.backward, peers.PEERS[name], library, network, episodes, p.inner_steps, p.inner_rate
        )
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=0.0)


def check_equal(form: str, steps: int, device: torch.device) -> None:
    """Raise AssertionError unless the loss and the clipped meta-gradient of all ways agree in float64."""
    kind = dict(backbone=form, hidden=CHECK["hidden"], inner_steps=steps)
    model = synthetic.learner(MAML, device, **kind).double()
    episodes = synthetic.double(synthetic.episodes(CHECK["tasks"], 5, 1, 5, device))
    reference = PlainStep(model, episodes)
    torch.testing.assert_close(OurStep(model, episodes)(), reference(), rtol=1e-9, atol=1e-12)
    for name, parameter in model.net.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.weights[name].grad, rtol=1e-6, atol=1e-9)
    for name, library in peers.importable()[0].items():
        check_peer(name, library, model, episodes)


def check_peer(name: str, library: ModuleType, model: MAML, episodes: Episodes) -> None:
    """Raise AssertionError unless a library's loss and meta-gradient agree with those of the loop, without scales and shifts.

    Not clipped, because the norm of the loop's gradient counts them.
    """
    reference, peer = PlainStep(model, episodes), PeerStep(name, library, model, episodes)
    with torch.no_grad():
        for key in reference.weights.keys() - peer.weights.keys():
            reference.weights[key].fill_(key.endswith("gamma"))
    torch.testing.assert_close(peer.backward(), reference.backward(), rtol=1e-9, atol=1e-12)
    for key, weight in peer.weights.items():
        torch.testing.assert_close(weight.grad, reference.weights[key].grad, rtol=1e-6, atol=1e-9)
