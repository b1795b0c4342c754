"""MetaNet against its slow networks, plain loops of autograd and closed forms (card 4)."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from algos.base import TaskSpec
from algos.model import metanet
from algos.model.metanet import MetaNet, cosine_attention
from algos.nets import fast_weights
from algos.nets.fast_weights import AugmentedNet, TaskMetaLearner, in_chunks, preprocess
from tests import planted

E7 = math.exp(7)


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learner(**values):
    """With last layers of a larger size (still around zero), so that fast weights matter."""
    model = MetaNet(planted.spec(), MetaNet.Params(**{"hidden": 6, "meta_units": 6, **values})).double()
    for part in (*model.d.values(), *model.m.values()):
        part.output.weight.data *= 30
        part.output.bias.data *= 30
    return model


def problem(tasks=2, support=6, queries=5):
    y = torch.stack([torch.randperm(support) % 3 for _ in range(tasks)])
    return torch.rand(tasks, support, 1, 1, 28, 28), y, torch.rand(tasks, queries, 1, 1, 28, 28)


def plain(slow, x, fast=None, key=False):
    """The network from native layers for one task or example: `[n, C, H, W]` -> `[n, outputs]`."""
    for i in range(5):
        y = F.relu(F.conv2d(x, slow[f"conv{i}"], padding=1))
        if fast:
            y = y + F.relu(F.conv2d(x, fast[f"conv{i}"], padding=1))
        x = F.max_pool2d(y, 2, ceil_mode=True)
    x = x.flatten(1)
    if key:
        return x @ slow["linear0"].T + x @ fast["linear0"].T
    y = F.relu(x @ slow["linear0"].T)
    if fast:
        y = y + F.relu(x @ fast["linear0"].T)
        return y @ slow["linear1"].T + y @ fast["linear1"].T
    return y @ slow["linear1"].T


def test_the_whole_learner_equals_a_loop_over_tasks_and_queries():
    """Logits and every outer gradient, against one example at a time in native torch (oracles 3, 5, 8)."""
    model = learner(chunks=3)
    support, y, queries = problem()
    ours = model.score(model.fit(support, y, 3), queries)
    naive = torch.stack([_one_task(model, s, t, q) for s, t, q in zip(support[:, :, 0], y, queries[:, :, 0])])  # noqa: B905
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-10)
    signal, leaves = torch.randn_like(ours), list(model.parameters())
    for (name, _), a, b in zip(
        model.named_parameters(),
        torch.autograd.grad((ours * signal).sum(), leaves, allow_unused=True),
        torch.autograd.grad((naive * signal).sum(), leaves, allow_unused=True),
        strict=True,
    ):
        if name == "u.slow.linear1":  # u's own classifier only makes gradients, which are constants
            assert a is None and b is None
        else:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
            assert a.abs().sum() > 0, name


def _one_task(model, support, y, queries):
    task_level = _by_layer(model.d, _chunk_gradients(model, support, y), model.u.slow)
    examples = [
        _by_layer(model.m, [_gradients(model.b.slow, support[i : i + 1], y[i : i + 1])], model.b.slow)
        for i in range(len(y))
    ]
    keys = plain(model.u.slow, support, task_level, key=True)
    logits = []
    for query in queries.unsqueeze(1):
        r = plain(model.u.slow, query, task_level, key=True)
        cosine = (keys @ r[0]) / torch.sqrt(keys.square().sum(1) * r.square().sum() + 1e-6)
        blended = {
            name: sum(a * w[name] for a, w in zip(cosine.softmax(0), examples, strict=True))
            for name in examples[0]
        }
        logits.append(plain(model.b.slow, query, blended)[0])
    return torch.stack(logits)


def _chunk_gradients(model, support, y):
    return [_gradients(model.u.slow, support[chunk::3], y[chunk::3]) for chunk in range(3)]


def _gradients(slow, x, y):
    slow = {name: w.detach().clone().requires_grad_() for name, w in slow.items()}
    loss = F.cross_entropy(plain(slow, x), y)
    return dict(zip(slow, torch.autograd.grad(loss, list(slow.values())), strict=True))


def _by_layer(meta_learner, gradients, slow):
    """A meta-learner on each layer's gradients on their own: coordinates do not mix."""
    fast = {}
    for name in slow:
        kind = name[:-1]
        stacked = torch.stack([g[name].flatten() for g in gradients], dim=-1)
        inputs = stacked if isinstance(meta_learner[kind], TaskMetaLearner) else stacked[:, 0]
        fast[name] = meta_learner[kind](inputs).view(slow[name].shape)
    return fast


def test_without_fast_weights_it_is_the_slow_network():
    """Oracle 1: the last layer of m zero -> the slow network's logits exactly; of d zero -> slow keys."""
    model = learner()
    support, y, queries = problem()
    for part in model.m.values():
        torch.nn.init.zeros_(part.output.weight)
        torch.nn.init.zeros_(part.output.bias)
    _, _, keys = phi = model.fit(support, y, 3)
    slow = torch.stack([plain(model.b.slow, q) for q in queries[:, :, 0]])
    torch.testing.assert_close(model.score(phi, queries), slow, rtol=0, atol=1e-14)
    for part in model.d.values():
        torch.nn.init.zeros_(part.output.weight)
        torch.nn.init.zeros_(part.output.bias)
    nothing = {name: torch.zeros_like(w) for name, w in model.u.slow.items()}
    expected = torch.stack([plain(model.u.slow, s, nothing, key=True) for s in support[:, :, 0]])
    slow_keys = model.fit(support, y, 3)[2]
    torch.testing.assert_close(slow_keys, expected, rtol=0, atol=1e-14)
    assert (slow_keys - keys).abs().max() > 1e-6


def test_attention_sums_to_one_and_splits_over_duplicates():
    """Oracles 2 and 6; one example alone is taken whole."""
    queries, keys = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    keys[:, 1] = keys[:, 0]
    attention = cosine_attention(queries, keys)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 3))
    assert torch.equal(attention[..., 0], attention[..., 1])
    cosine = F.cosine_similarity(queries.unsqueeze(2), keys.unsqueeze(1), dim=-1)
    torch.testing.assert_close(attention, cosine.softmax(-1), rtol=1e-4, atol=1e-5)
    assert torch.equal(cosine_attention(queries, keys[:, :1]), torch.ones(2, 3, 1))


def test_gradients_are_constants_and_no_second_order_graph_is_built():
    """Oracle 3; the gradients of one example equal plain autograd (oracle 5)."""
    model = learner()
    x, y, _ = problem(tasks=1)
    gradients = model.b.loss_gradients(x[0], y[0].unsqueeze(1), torch.ones(6, 1))
    for i in range(6):
        expected = _gradients(model.b.slow, x[0, i], y[0, i : i + 1])
        for kind, vector in gradients.items():
            assert not vector.requires_grad
            joined = torch.cat([g.flatten() for name, g in expected.items() if name.startswith(kind)])
            torch.testing.assert_close(vector[i], joined, rtol=1e-6, atol=1e-12)
    with torch.no_grad():
        assert torch.equal(
            model.b.loss_gradients(x[0], y[0].unsqueeze(1), torch.ones(6, 1))["conv"], gradients["conv"]
        )


def test_preprocessing_has_the_values_of_its_two_ranges():
    """Oracle 4: 1 -> (0, 1); up to e^-7 -> (-1, g e^7)."""
    g = torch.tensor([1.0, -1 / E7, 0.3 / E7, 0.0, -E7])
    expected = torch.tensor([[0, 1], [-1, -1], [-1, 0.3], [-1, 0], [1, -1]])
    torch.testing.assert_close(preprocess(g), expected)


def test_the_order_of_the_support_matters_only_to_the_lstm():
    """Oracle 7: with one example a chunk, the LSTM over chunks alone is sensitive to the order."""
    model = learner(chunks=6)
    support, y, queries = problem()
    order = torch.tensor([3, 1, 0, 5, 4, 2])

    def logits(chosen):
        return model.score(model.fit(support[:, chosen], y[:, chosen], 3), queries)

    assert (logits(order) - logits(torch.arange(6))).abs().max() > 1e-6
    for part in model.d.values():
        part.forward = lambda g: preprocess(g).sum((1, 2)) * 0.01
    torch.testing.assert_close(logits(order), logits(torch.arange(6)), rtol=1e-9, atol=1e-10)


def test_slow_and_fast_are_rectified_apart():
    """Oracle 8: ReLU(slow) + ReLU(fast), not ReLU(slow + fast): opposite weights do not cancel."""
    net = AugmentedNet(1, 28, 4, 3, 5).double()
    fast = {name: -w.detach().unsqueeze(0) for name, w in net.slow.items()}
    x = torch.rand(1, 2, 1, 28, 28)
    torch.testing.assert_close(
        net.logits(x, net.slow, fast)[0], plain(net.slow, x[0], {n: -w for n, w in net.slow.items()})
    )
    hidden = net._features(x, net.slow, fast)
    assert hidden.abs().max() > 1e-6


def test_pieces_computed_again_equal_the_whole(monkeypatch):
    """Memory is bounded by pieces of coordinates and of queries; values and gradients stay."""
    model = learner()
    tasks = planted.episodes(tasks=2)
    tasks = dataclasses.replace(tasks, support_x=tasks.support_x.double(), query_x=tasks.query_x.double())
    model.train()
    whole = model.outer_loss(tasks)
    parameters = [p for name, p in model.named_parameters() if name != "u.slow.linear1"]
    expected = torch.autograd.grad(whole, parameters)
    monkeypatch.setattr(fast_weights, "CACHED", 100)
    monkeypatch.setattr(fast_weights, "STORED", 200)
    monkeypatch.setattr(metanet, "FAST_NUMBERS", 4000)
    pieces = model.outer_loss(tasks)
    torch.testing.assert_close(pieces, whole)
    for a, b in zip(torch.autograd.grad(pieces, parameters), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-10)


def test_pieces_are_not_stored():
    sizes = []
    x = torch.randn(10, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        in_chunks(lambda piece: (piece.unsqueeze(1) * torch.ones(1, 50)).exp().sum(1), x, 4)
    assert sum(sizes) <= 2 * 10


def test_published_sizes():
    """Omniglot 5-way: 152,448 numbers an example (oracle of the card); miniImageNet: 288 features, two fast blocks."""
    omniglot = TaskSpec("omniglot", "classification", (1, 28, 28), 5, 1)
    net = MetaNet(omniglot, MetaNet.resolve("metanet", omniglot)).b
    assert sum(w.numel() for w in net.slow.values()) == 152_448
    mini = TaskSpec("miniimagenet", "classification", (3, 84, 84), 5, 1)
    net = MetaNet(mini, MetaNet.resolve("metanet", mini)).b
    assert {name: tuple(w.shape) for name, w in net.slow.items()} == {
        "conv0": (32, 32, 3, 3), "conv1": (32, 32, 3, 3), "linear0": (288, 288), "linear1": (5, 288)
    }  # fmt: skip


def test_the_first_loss_is_finite_and_small():
    """The initialisation as measured: fast weights of the default scale would give logits of 1e9."""
    spec = TaskSpec("omniglot", "classification", (1, 28, 28), 5, 1)
    model = MetaNet(spec, MetaNet.Params()).float()
    tasks = planted.sampler().sample(1, 5, 1, 2)
    assert model.train().outer_loss(tasks).item() < 5


@pytest.mark.parametrize("seed", range(4))
def test_fast_units_are_alive_at_the_start(seed):
    """With one common negative sign no fast unit would pass its ReLU, and m and d would never get a gradient."""
    torch.manual_seed(seed)
    spec = TaskSpec("planted", "classification", (1, 28, 28), 5, 1)
    model = MetaNet(spec, MetaNet.Params(hidden=16)).double().train()
    tasks = planted.sampler().sample(1, 5, 1, 2)
    x, y = model.embed(tasks.support_x.double()), tasks.support_y
    memory = {kind: examples[0] for kind, examples in model.memory(x[:, :, 0], y).items()}
    task_level = model.task_level(x[:, :, 0], y)
    for net, fast, inputs in (
        (model.b, model.b.split(memory), x[0]), (model.u, model.u.split(task_level), x[:, :, 0])
    ):  # fmt: skip
        nothing = {name: torch.zeros_like(w) for name, w in net.slow.items()}
        assert (net._features(inputs, nothing, fast) > 0).any()


def test_slow_blocks_learn_from_both_sides_and_keep_running_statistics():
    model = learner(slow_blocks=3).train()
    tasks = planted.episodes(tasks=2)
    tasks = dataclasses.replace(tasks, support_x=tasks.support_x.double(), query_x=tasks.query_x.double())
    model.outer_loss(tasks).backward()
    for p in model.encoder.parameters():
        assert p.grad.abs().sum() > 0
    assert (model.encoder.learners[1][0].running_mean != 0).all()


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="MetaNet has classifiers for 3 classes and cannot do 5-way tasks"):
        learner().fit(torch.rand(1, 5, 1, 1, 28, 28), torch.arange(5).unsqueeze(0), 5)
