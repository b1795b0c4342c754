"""Matching Networks, with and without context embeddings, against their equations (card E22)."""

import pytest
import torch
import torch.nn.functional as F

from algos.base import TaskSpec
from algos.metric.matching import Matching
from algos.metric.matching_fce import MatchingFCE
from algos.nets.layers import Statistics
from algos.nets.prototypes import class_means
from tests import planted

LABELS = torch.tensor([[1, 0, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2]])


def features(*shape, seed=0):
    return torch.randn(*shape, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SUPPORT, QUERY = features(2, 6), features(2, 5, seed=1)


def learner(kind=Matching, **values):
    return planted.small(kind, **values).double()


def logits(model, support=SUPPORT, labels=LABELS, way=3):
    return model.score(model.fit(support, labels, way), QUERY)


def cosine(support):
    return F.cosine_similarity(QUERY.unsqueeze(2), support.unsqueeze(1), dim=-1)


def test_probabilities_are_the_attention_over_the_labels():
    """Eq. 1: sum_i a(x, x_i) y_i with a softmax over the whole support set."""
    attention = (10 * cosine(SUPPORT)).softmax(-1)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 5, dtype=torch.float64))
    expected = attention @ F.one_hot(LABELS, 3).double()
    torch.testing.assert_close(logits(learner()).softmax(-1), expected, rtol=1e-6, atol=1e-7)


def test_a_large_scale_is_the_nearest_neighbour():
    nearest = cosine(SUPPORT).argmax(-1)
    assert torch.equal(logits(learner(scale=1e6)).argmax(-1), LABELS.gather(1, nearest))


def test_with_one_shot_the_logits_are_cosines_to_the_class_means():
    labels = torch.tensor([[1, 0, 2], [0, 2, 1]])
    support = SUPPORT[:, :3]
    expected = 10 * cosine(class_means(support, labels, 3))
    torch.testing.assert_close(logits(learner(), support, labels), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 3])
def test_silent_lstms_leave_the_embeddings_as_they_are(steps):
    model = learner(MatchingFCE, attention_steps=steps)
    for lstm in (model.support_lstm, model.query_lstm):
        for weight in lstm.parameters():
            torch.nn.init.zeros_(weight)
    torch.testing.assert_close(logits(model), logits(learner()))


def test_the_attention_lstm_follows_its_equations():
    """Eq. 3-6 for one query at a time, from the LSTM's gates."""
    model = learner(MatchingFCE, attention_steps=3)
    cell = model.query_lstm
    read = model.read(QUERY, SUPPORT)
    for t in range(2):
        for q in range(5):
            x, g = QUERY[t, q], SUPPORT[t]
            h = c = torch.zeros(12, dtype=torch.float64)
            for _ in range(3):
                r = torch.softmax(g @ h, 0) @ g
                gates = cell.weight_ih @ torch.cat([x, r]) + cell.bias_ih + cell.weight_hh @ h + cell.bias_hh
                i, f, new, o = gates.chunk(4)
                c = f.sigmoid() * c + i.sigmoid() * new.tanh()
                h = o.sigmoid() * c.tanh() + x
            torch.testing.assert_close(read[t, q], h)


def test_only_context_embeddings_feel_the_order_of_the_support():
    order = torch.tensor([3, 5, 0, 2, 4, 1])
    plain, context = learner(), learner(MatchingFCE)
    torch.testing.assert_close(logits(plain, SUPPORT[:, order], LABELS[:, order]), logits(plain))
    moved = logits(context, SUPPORT[:, order], LABELS[:, order]) - logits(context)
    assert moved.abs().max() > 1e-3


def test_a_wide_embedding_is_the_mean_of_its_map():
    """ResNet-12 on 84x84 images has 16,000 features; 640 of them are left for the LSTMs."""
    spec = TaskSpec("miniimagenet", "classification", (3, 84, 84), 5, 1)
    values = {"backbone": "resnet12", "hidden": 64}
    with torch.device("meta"):
        model = MatchingFCE(spec, MatchingFCE.resolve("matching_fce", spec, values))
    assert model.encoder.features == model.query_lstm.hidden_size == 640


def test_the_mean_of_the_map_is_taken_over_its_places(monkeypatch):
    monkeypatch.setattr("algos.metric.matching_fce.LARGEST", 8)
    pooled = learner(MatchingFCE, hidden=4, backbone="conv4_valid").eval()
    x = torch.rand(1, 2, 1, 28, 28, dtype=torch.float64)
    maps = pooled.encoder.encoder(x, Statistics.running()).view(1, 2, 4, 25)
    torch.testing.assert_close(pooled.embed(x), maps.mean(3))


def test_an_embedding_too_wide_for_the_lstms_is_refused(monkeypatch):
    monkeypatch.setattr("algos.metric.matching_fce.LARGEST", 8)
    with pytest.raises(ValueError, match="has 12 features here .at most 8.; use backbone conv4"):
        learner(MatchingFCE)
