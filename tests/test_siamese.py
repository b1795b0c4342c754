"""Siamese network against a plain loop over pairs (card E21)."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from algos.metric.siamese import Siamese
from tests import planted


@pytest.fixture
def model():
    made = planted.small(Siamese).double()
    torch.nn.init.normal_(made.alpha)
    return made


def features(*shape, seed=0):
    return torch.randn(*shape, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_pair_has_no_first_and_second(model):
    a, b = features(2, 3), features(2, 4, seed=1)
    torch.testing.assert_close(model.pair_logits(a, b), model.pair_logits(b, a).transpose(1, 2))


def test_all_pairs_equal_a_loop(model):
    a, b = features(2, 3), features(2, 4, seed=1)
    logits = model.pair_logits(a, b)
    for t in range(2):
        for i in range(3):
            for j in range(4):
                expected = sum(model.alpha * abs(a[t, i] - b[t, j])) + model.bias
                torch.testing.assert_close(logits[t, i, j], expected)


@pytest.mark.parametrize("rule", ["mean", "max"])
def test_shots_are_put_together_by_the_rule(rule):
    model = planted.small(Siamese, rule=rule).double()
    support, query, labels = features(1, 4), features(1, 5, seed=1), torch.tensor([[1, 0, 1, 0]])
    pairs = model.pair_logits(query, support)
    put_together = (lambda x: x.mean(-1)) if rule == "mean" else (lambda x: x.amax(-1))
    expected = torch.stack([put_together(pairs[..., [1, 3]]), put_together(pairs[..., [0, 2]])], dim=-1)
    torch.testing.assert_close(model.score(model.fit(support, labels, 2), query), expected)


def test_with_one_shot_mean_and_maximum_agree():
    support, query, labels = features(2, 3), features(2, 5, seed=1), torch.tensor([[2, 0, 1], [0, 1, 2]])
    mean, largest = (
        model.score(model.fit(support, labels, 3), query)
        for model in (planted.small(Siamese, rule=rule).double() for rule in ("mean", "max"))
    )
    torch.testing.assert_close(mean, largest)


def test_the_loss_weighs_same_and_different_pairs_equally(model):
    chosen = planted.episodes(tasks=2)
    tasks = dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())
    model.train()
    together = model._embed_together(torch.cat([tasks.support_x, tasks.query_x], dim=1))
    support, query = together.split([tasks.support_x.shape[1], tasks.query_x.shape[1]], dim=1)
    same, different = [], []
    for t in range(2):
        for q, y in zip(query[t], tasks.query_y[t], strict=True):
            for s, z in zip(support[t], tasks.support_y[t], strict=True):
                logit = model.alpha @ (q - s).abs() + model.bias
                kind, target = (same, 1.0) if y == z else (different, 0.0)
                kind.append(F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, target)))
    expected = (torch.stack(same).mean() + torch.stack(different).mean()) / 2
    torch.testing.assert_close(model.outer_loss(tasks), expected)
