"""The heads of the black-box learner: closed forms, loops over queries, what reaches what (card 1)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from algos.base import TaskSpec
from algos.model.lstm import HEADS, LSTM, GeneratedMLP
from tasks.functions import FunctionSampler
from tasks.sinusoid import Sinusoids
from tests import planted

CHOICES = [("class_mean", head) for head in HEADS if head != "rnn"] + [("lstm", head) for head in HEADS]


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learner(encoder, head):
    return LSTM(planted.spec(), LSTM.Params(hidden=4, width=8, encoder=encoder, head=head)).double().eval()


def problem():
    y = torch.tensor([[0, 1, 2, 2, 0, 1], [1, 0, 2, 0, 1, 2]])
    return torch.randn(2, 6, 4, requires_grad=True), y, torch.randn(2, 5, 4)


def test_the_default_learner_has_the_weights_it_had():
    """Models trained before the heads `full` and `rnn` came still load."""
    model = LSTM(planted.spec(), LSTM.Params())
    assert {name.split(".")[0] for name in model.state_dict()} == {
        "encoder", "feature_norm", "reader", "context_norm", "head"
    }  # fmt: skip
    assert model.head.weight.shape == (planted.WAY * 65, 256)


@pytest.mark.parametrize(("encoder", "head"), CHOICES)
def test_queries_are_scored_alone_and_see_the_support_only(encoder, head):
    model = learner(encoder, head)
    features, y, queries = problem()
    phi = model.fit(features, y, 3)
    together = model.score(phi, queries)
    alone = torch.cat([model.score(phi, queries[:, q : q + 1]) for q in range(5)], dim=1)
    torch.testing.assert_close(alone, together)
    reach = torch.autograd.grad(together.square().sum(), features)[0].abs().sum(-1)
    assert (reach > 0).all(), "a support example does not reach the queries"
    renamed = model.score(model.fit(features, (y + 1) % 3, 3), queries)
    assert (renamed - together).abs().max() > 1e-8, "the labels do not reach the queries"


def test_all_weights_start_as_a_static_perceptron():
    """With scale 0 every task has the learned perceptron; with another the generated weights are added."""
    head = GeneratedMLP(context=8, inputs=4, outputs=3).double()
    context, x = torch.randn(2, 8), torch.randn(2, 5, 4)
    for scale in (0.0, 0.1):
        head.scale = scale
        for b in range(2):
            plain = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
            nn.utils.vector_to_parameters(head.start + scale * head.generator(context[b]), plain.parameters())
            torch.testing.assert_close(head(context, x)[b], plain(x[b]))
    assert len(GeneratedMLP(context=8, inputs=64, outputs=5).start) == 2245  # the card's count


def test_recurrent_head_equals_a_sequence_with_the_query_at_its_end():
    model = learner("lstm", "rnn")
    features, y, queries = problem()
    ours = model.score(model.fit(features, y, 3), queries)
    support = torch.cat([model.feature_norm(features), 2 * F.one_hot(y, 3)], dim=-1)
    for q in range(5):
        token = F.pad(model.feature_norm(queries[:, q : q + 1]), (0, 3))
        output, _ = model.reader.rnn(torch.cat([support, token], dim=1))
        torch.testing.assert_close(ours[:, q], model.head(model.context_norm(output[:, -1])))


@pytest.mark.parametrize("head", HEADS)
def test_every_weight_of_a_head_is_trained(head):
    model = learner("lstm", head)
    features, y, queries = problem()
    model.score(model.fit(features, y, 3), queries).square().sum().backward()
    for part in (model.head, model.reader, model.feature_norm, model.context_norm):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_labels_have_the_norm_of_the_features():
    model = learner("attention", "bilinear")
    features, y, _ = problem()
    labels = model._labels(y, features)
    torch.testing.assert_close(labels.norm(dim=-1), torch.full((2, 6), 2.0))  # 4 features of variance 1
    assert torch.equal(labels.argmax(-1), y)


@pytest.mark.parametrize("encoder", ["attention", "mean", "class_mean", "lstm", "bilstm", "tconv"])
@pytest.mark.parametrize("head", ["bilinear", "context", "full"])
def test_the_order_of_the_support_matters_as_declared(encoder, head):
    model = learner(encoder, head)
    features, y, queries = problem()
    order = torch.tensor([5, 2, 0, 1, 4, 3])
    logits = model.score(model.fit(features, y, 3), queries)
    turned = model.score(model.fit(features[:, order], y[:, order], 3), queries)
    same = torch.allclose(turned, logits, rtol=0, atol=1e-10)
    assert same == (encoder in ("attention", "mean", "class_mean"))


@pytest.mark.parametrize(("encoder", "head"), CHOICES)
def test_the_embedding_learns_from_the_support_alone(encoder, head):
    """Oracle 6: with the queries' features held constant, the first convolution still gets a gradient."""
    model = learner(encoder, head)
    support = model.embed(torch.rand(2, 6, 1, 28, 28))
    _, y, queries = problem()
    model.score(model.fit(support, y, 3), queries).square().sum().backward()
    assert model.encoder.blocks[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("encoder", "head"), [("mean", head) for head in HEADS if head != "rnn"] + [("lstm", "rnn")]
)
def test_sinusoids_are_learned(encoder, head):
    """Regression: after 150 updates the error is three quarters of what it was, or less."""
    torch.set_default_dtype(torch.float32)
    spec = TaskSpec("sinusoid", "regression", (1,), 1, 10)
    values = dict(encoder=encoder, head=head, width=64, steps=150, meta_batch=32, learning_rate=3e-3)
    model = LSTM(spec, LSTM.resolve("lstm", spec, values))
    sampler = FunctionSampler(torch.Generator().manual_seed(0), Sinusoids())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = [model.train().meta_update(sampler, optimizer).item() for _ in range(150)]
    assert sum(losses[-20:]) / 20 < 0.75 * sum(losses[:20]) / 20


def test_class_means_need_classes():
    spec = TaskSpec("sinusoid", "regression", (1,), 1, 10)
    with pytest.raises(ValueError, match="encoder 'class_mean' needs classes"):
        LSTM(spec, LSTM.Params(backbone="mlp"))


def test_the_recurrent_head_needs_a_recurrent_encoder():
    with pytest.raises(ValueError, match="use encoder 'lstm', not 'class_mean'"):
        learner("class_mean", "rnn")
