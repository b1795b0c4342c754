"""SNAIL: causality, the cached support against the whole sequence, the published sizes (card 5)."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from algos.base import TaskSpec
from algos.model.snail import SNAIL
from algos.nets.layers import Statistics
from algos.nets.snail_resnet import SnailResNet
from algos.nets.temporal import CausalAttention, DenseBlock, TCBlock
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def learner(way=planted.WAY, shot=planted.SHOT, **values):
    sizes = dict(hidden=4, embedding=6, width=8) | values
    return SNAIL(planted.spec(way, shot), SNAIL.Params(**sizes)).double().eval()


def whole_sequence(model, features, support_y, queries):
    """The straightforward way: for each query the whole sequence with it at the end, read at the last position."""
    labels = F.one_hot(support_y, model.spec.way).to(features.dtype)
    support = torch.cat([model.embedding(features), labels], dim=-1)
    query = F.pad(model.embedding(queries), (0, model.spec.way))
    logits = []
    for q in range(query.shape[1]):
        x = torch.cat([support, query[:, q : q + 1]], dim=1)
        for block in model.blocks:
            x = block(x)
        logits.append(model.head(x[:, -1]))
    return torch.stack(logits, dim=1)


@pytest.mark.parametrize("start", [1, 2])
@pytest.mark.parametrize(("way", "shot"), [(2, 1), (3, 2), (5, 5)])
def test_the_cached_support_equals_the_whole_sequence(way, shot, start):
    """Values and gradients; dilations longer than the support included (they meet zeros)."""
    model = learner(way, shot, dilation_start=start)
    features = torch.randn(2, way * shot, 4, requires_grad=True)
    queries = torch.randn(2, 4, 4, requires_grad=True)
    support_y = torch.arange(way).repeat(shot).expand(2, -1)
    ours = model.score(model.fit(features, support_y, way), queries)
    naive = whole_sequence(model, features, support_y, queries)
    torch.testing.assert_close(ours, naive, rtol=1e-12, atol=1e-12)
    leaves, signal = [features, queries, *model.blocks.parameters()], torch.randn_like(naive)
    for a, b in zip(
        torch.autograd.grad((ours * signal).sum(), leaves),
        torch.autograd.grad((naive * signal).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "block", [DenseBlock(5, 4, 2), CausalAttention(5, 4, 3), TCBlock(5, 7, 4)], ids=lambda b: type(b).__name__
)
def test_no_position_sees_a_later_one(block):
    block, x = block.double(), torch.randn(2, 7, 5)
    changed = x.clone()
    changed[:, 4:] += torch.randn(2, 3, 5)
    before, after = block(x), block(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any(-1).all()


def test_the_whole_stack_is_causal():
    """Every block in turn, as it stands in the learner: a change after position t leaves the outputs up to t."""
    model, x = learner(), torch.randn(2, 7, 9)
    changed = x.clone()
    changed[:, 4:] += torch.randn(2, 3, 9)
    for block in model.blocks:
        x, changed = block(x), block(changed)
    assert torch.equal(x[:, :4], changed[:, :4])
    assert (x[:, 4:] != changed[:, 4:]).any(-1).all()


def test_attention_rows_sum_to_one_over_the_past():
    block = CausalAttention(5, 4, 3)
    x = torch.randn(2, 6, 5)
    weights = block.weights(x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 6))
    assert (weights.triu(1) == 0).all()
    assert (weights[:, 0, 0] == 1).all()
    q, k, v = block.query(x), block.key(x), block.value(x)
    native = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(block(x), torch.cat([x, native], dim=-1))


@pytest.mark.parametrize("length", [2, 6, 7, 26])
def test_convolutions_from_dilation_one_reach_the_start_and_from_two_do_not(length):
    for start, reached in ((1, length), (2, math.ceil(length / 2))):
        x = torch.randn(1, length, 3, requires_grad=True)
        last = TCBlock(3, length, 4, start)(x)[0, -1]
        reach = torch.autograd.grad(last.square().sum(), x)[0][0].abs().sum(-1)
        assert (reach > 0).sum() == reached


@pytest.mark.parametrize(
    ("way", "shot", "embedding", "channels", "millions"),
    [
        (5, 1, 64, 1253, 3.10),
        (5, 5, 64, 1765, 6.22),
        (20, 1, 64, 1780, 6.36),
        (20, 5, 64, 2292, 10.6),
        (5, 1, 384, 1573, 4.75),
        (5, 5, 384, 2085, 8.53),
    ],
)
def test_published_channels(way, shot, embedding, channels, millions):
    with torch.device("meta"):
        blocks, head_inputs = SNAIL._blocks(
            _Sized(SNAIL.Params(width=128)), embedding + way, length=way * shot + 1
        )
    assert head_inputs == channels
    count = sum(p.numel() for p in blocks.parameters()) + way * (channels + 1)
    assert count / 1e6 == pytest.approx(millions, rel=5e-3)


@dataclasses.dataclass
class _Sized:
    params: SNAIL.Params


def test_presets_give_the_published_embeddings():
    omniglot = TaskSpec("omniglot", "classification", (1, 28, 28), 5, 1)
    assert SNAIL(omniglot, SNAIL.resolve("snail", omniglot)).embedding.weight.shape == (64, 64)
    mini = dataclasses.replace(omniglot, dataset="miniimagenet", input_shape=(3, 84, 84))
    model = SNAIL(mini, SNAIL.resolve("snail", mini))
    assert model.embedding.weight.shape == (384, 2048)
    assert model.encoder.blocks[3](torch.rand(1, 1, 128, 11, 11), Statistics.batch()).shape[2:] == (256, 6, 6)


def test_the_residual_embedding_drops_only_in_training():
    net = SnailResNet((1, 28, 28), hidden=4)
    x = torch.rand(1, 3, 1, 28, 28)
    net.train()
    assert not torch.equal(net(x, Statistics.batch()), net(x, Statistics.batch()))
    net.eval()
    assert torch.equal(net(x, Statistics.batch()), net(x, Statistics.batch()))


def test_the_label_and_the_order_of_the_support_reach_the_query():
    model = learner()
    features, queries = torch.randn(1, 6, 4), torch.randn(1, 2, 4)
    y = torch.tensor([[0, 1, 2, 0, 1, 2]])
    logits = model.score(model.fit(features, y, 3), queries)
    renamed = model.score(model.fit(features, (y + 1) % 3, 3), queries)
    order = torch.tensor([1, 0, 2, 3, 4, 5])
    swapped = model.score(model.fit(features[:, order], y[:, order], 3), queries)
    assert (renamed - logits).abs().max() > 1e-6
    assert 0 < (swapped - logits).abs().max() < 1


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="SNAIL reads labels of 3 classes and cannot do 5-way tasks"):
        learner().fit(torch.randn(1, 5, 4), torch.arange(5).unsqueeze(0), 5)
