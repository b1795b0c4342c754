"""CAML: label codes, the set property, queries in sets of their own, learning in context (Fifty et al. 2024)."""

import pytest
import torch

from algos.base import TaskSpec
from algos.model.caml import CAML, simplex
from algos.nets.transformer import SetBlock
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def learner(way=planted.WAY, shot=planted.SHOT, **values):
    sizes = dict(hidden=4, embedding=6, width=8, heads=2, blocks=2) | values
    return CAML(planted.spec(way, shot), CAML.Params(**sizes)).double().eval()


@pytest.mark.parametrize("way", [2, 5, 20])
def test_label_codes_are_equally_long_and_equally_far_apart(way):
    products = simplex(way) @ simplex(way).T
    expected = torch.full((way, way), -1 / (way - 1)).fill_diagonal_(1.0)
    torch.testing.assert_close(products, expected)


def test_a_block_is_the_standard_transformer_layer():
    """The same weights in torch's own layer, with the mask of a query that sees the examples and itself."""
    block, width = SetBlock(8, 2).double(), 8
    standard = torch.nn.TransformerEncoderLayer(
        width, 2, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    ).double()
    state = {
        "self_attn.in_proj_weight": block.query_key_value.weight, "self_attn.in_proj_bias": block.query_key_value.bias,
        "self_attn.out_proj.weight": block.output.weight, "self_attn.out_proj.bias": block.output.bias,
        "linear1.weight": block.mlp[0].weight, "linear1.bias": block.mlp[0].bias,
        "linear2.weight": block.mlp[2].weight, "linear2.bias": block.mlp[2].bias,
        "norm1.weight": block.before_attention.weight, "norm1.bias": block.before_attention.bias,
        "norm2.weight": block.before_mlp.weight, "norm2.bias": block.before_mlp.bias,
    }  # fmt: skip
    standard.load_state_dict(state)
    examples, queries = torch.randn(3, 5, width), torch.randn(3, 4, width)
    hidden = torch.zeros(9, 9, dtype=torch.bool)
    hidden[:, 5:] = True
    hidden.fill_diagonal_(False)
    expected = standard(torch.cat([examples, queries], dim=1), src_mask=hidden)
    values, memory = block(examples)
    torch.testing.assert_close(values, expected[:, :5])
    torch.testing.assert_close(block.ask(queries, memory), expected[:, 5:])


def test_the_order_of_the_support_does_not_matter():
    model = learner(5, 2)
    features, queries, labels = (
        torch.randn(2, 10, 4),
        torch.randn(2, 3, 4),
        torch.arange(5).repeat(2).expand(2, -1),
    )
    order = torch.randperm(10)
    straight = model.score(model.fit(features, labels, 5), queries)
    shuffled = model.score(model.fit(features[:, order], labels[:, order], 5), queries)
    torch.testing.assert_close(straight, shuffled)


def test_labels_are_read():
    model = learner(5, 1)
    features, queries, labels = torch.randn(1, 5, 4), torch.randn(1, 3, 4), torch.arange(5).unsqueeze(0)
    ours = model.score(model.fit(features, labels, 5), queries)
    moved = model.score(model.fit(features, labels.roll(1), 5), queries)
    assert not torch.allclose(ours, moved)


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 9 must be a multiple of heads, 2"):
        learner(width=9)


def test_another_way_is_refused():
    model = learner()
    with pytest.raises(ValueError, match="reads labels of 3 classes and cannot do 4-way tasks"):
        model.fit(torch.randn(1, 4, 4), torch.arange(4).unsqueeze(0), 4)


def test_regression_reads_targets():
    spec = TaskSpec("sinusoid", "regression", (1,), 1, 5)
    model = CAML(spec, CAML.Params(backbone="mlp", hidden=8, embedding=6, width=8, heads=2)).double().eval()
    x, y, query = torch.randn(2, 5, 1), torch.randn(2, 5, 1), torch.randn(2, 7, 1)
    answer = model.predict(model.adapt(x, y, 1), query)
    assert answer.shape == (2, 7, 1)
    assert not torch.allclose(answer, model.predict(model.adapt(x, y + 1, 1), query))


def test_it_starts_as_a_soft_nearest_neighbour():
    """Untrained, the first block reads most of the example that a query equals; the other blocks pass tokens on."""
    torch.manual_seed(0)
    model = learner(5, 1, embedding=32, width=32, heads=1)
    examples = 3 * torch.randn(1, 5, 32)
    first, second = model.blocks
    query, key, _ = first._projected(examples)
    weights = (query @ key.transpose(-2, -1) / 32**0.5).softmax(-1)
    assert (weights.argmax(-1) == torch.arange(5)).all()
    torch.testing.assert_close(second(examples)[0], examples + second.output.bias + second.mlp[-1].bias)
