"""A GPU gives what the CPU gives: the same loss, weights after a meta-update, and predictions, for every algorithm.

And a recorded meta-update does what the ordinary one does, task after task.
"""

import pytest
import torch

from algos import load
from algos.base import MetaLearner
from bench.protocol import machine
from bench.protocol.cuda_graph import WARM_UP, Captured
from bench.protocol.optimizer import build_optimizer, load_state, set_rate
from bench.protocol.provenance import now, provenance
from benchmarks import synthetic
from tasks.dataset import ImageData
from tasks.episodes import Episodes, EpisodeSampler
from tasks.seeds import torch_generator
from tests import planted
from tests.test_contract import ALGORITHMS, TRAINED

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

CAPTURABLE = [name for name in TRAINED if load(name).capturable]
GPU = torch.device("cuda")


class Given:
    """A sampler that gives the same tasks each time."""

    def __init__(self, tasks: Episodes):
        self.tasks = tasks

    def sample(self, *_: object) -> Episodes:
        return self.tasks


def on(device: str, tasks: Episodes) -> Episodes:
    """The tasks in float64, so that what differs is not rounding."""
    return synthetic.double(synthetic.on(torch.device(device), tasks))


def learners(name: str) -> dict[str, MetaLearner]:
    """By device, from the same initial weights."""
    return {device: planted.small(load(name)).double().to(device) for device in ("cpu", "cuda")}


@pytest.fixture
def same_sizes(monkeypatch):
    """The sizes of contexts (ALPaCA) are drawn on the device, whose stream is another: draw them on the CPU here."""
    drawn = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, device="cpu", **k: drawn(*a, **k).to(device))


@pytest.mark.parametrize("name", TRAINED)
def test_a_meta_update_is_the_same(name, same_sizes):
    tasks = planted.episodes(name="training", part="train")
    losses, weights = {}, {}
    for device, learner in learners(name).items():
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(learner.train().parameters(), lr=0.1)
        losses[device] = learner.meta_update(Given(on(device, tasks)), optimizer).cpu()
        weights[device] = {key: value.cpu() for key, value in learner.state_dict().items()}
    torch.testing.assert_close(losses["cuda"], losses["cpu"], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(weights["cuda"], weights["cpu"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("transductive", [False, True])
def test_predictions_are_the_same(name, transductive):
    if transductive and "transductive" not in load(name).modes:
        pytest.skip(f"{name} has no transductive mode")
    found = {
        device: planted.predictions(learner, on(device, planted.episodes()), transductive).cpu()
        for device, learner in learners(name).items()
    }
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", CAPTURABLE)
def test_a_recorded_update_does_what_the_ordinary_one_does(name):
    found = {}
    for recorded in (False, True):
        learner = planted.small(load(name), meta_batch=4).double().to(GPU).train()
        optimizer = build_optimizer(learner, GPU)
        update = Captured(learner, doubled_sampler(), optimizer) if recorded else None
        sampler = doubled_sampler()
        losses = []
        for step in range(WARM_UP + 5):
            set_rate(optimizer, 1e-3 / (1 + step))
            losses.append((update() if recorded else learner.meta_update(sampler, optimizer)).clone())
        found[recorded] = torch.stack(losses), learner.state_dict()
    assert len(found[True][0].unique()) == len(found[True][0])  # each update has tasks of its own
    torch.testing.assert_close(found[True], found[False], rtol=1e-6, atol=1e-8)


def doubled_sampler() -> EpisodeSampler:
    """Training tasks of the planted problem in float64, drawn on the GPU."""

    class Doubled(EpisodeSampler):
        def sample(self, *sizes: object) -> Episodes:
            return on("cuda", super().sample(*sizes))

    split = ImageData(planted.meta(), planted.pictures()).split("train", GPU)
    return Doubled(split, torch_generator(GPU, "recorded"))


@pytest.mark.parametrize("tf32", [False, True])
def test_products_are_rounded_to_tf32_in_trainings_only(tf32):
    """TF32 has 10 bits of fraction, float32 has 23."""
    machine.set_up("cuda", 1, tf32=tf32)
    assert provenance(GPU, now())["tf32"] is tf32
    a, b = torch.randn(2, 256, 256, device=GPU)
    x, w = torch.randn(8, 64, 28, 28, device=GPU), torch.randn(64, 64, 3, 3, device=GPU)
    for work, inputs in ((torch.matmul, (a, b)), (torch.nn.functional.conv2d, (x, w))):
        exact = work(*(tensor.double() for tensor in inputs))
        error = ((work(*inputs) - exact).abs().mean() / exact.abs().mean()).item()
        assert error < 2e-6 if not tf32 else 1e-5 < error < 1e-2
    machine.set_up("cuda", 1)


def test_a_training_resumes_on_another_device():
    learners = {
        device: planted.small(load("protonet")).double().to(device).train() for device in ("cpu", "cuda")
    }
    optimizers = {
        device: build_optimizer(learner, torch.device(device)) for device, learner in learners.items()
    }
    tasks = planted.episodes(name="training", part="train")
    learners["cpu"].meta_update(Given(on("cpu", tasks)), optimizers["cpu"])
    load_state(optimizers["cuda"], optimizers["cpu"].state_dict())
    learners["cuda"].load_state_dict(learners["cpu"].state_dict())
    for device, learner in learners.items():
        learner.meta_update(Given(on(device, tasks)), optimizers[device])
    there = {name: w.cpu() for name, w in learners["cuda"].state_dict().items()}
    torch.testing.assert_close(there, dict(learners["cpu"].state_dict()), rtol=1e-5, atol=1e-7)
