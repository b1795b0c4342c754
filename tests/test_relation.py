"""Relation Network: order of the pairs, shots, losses and normalisation (card E23)."""

import dataclasses

import pytest
import torch
from torch import nn

from algos.base import TaskSpec
from algos.metric.relation import Relation
from tests import planted

LABELS = torch.tensor([[1, 0, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2]])


class NegativeL1(nn.Module):
    """A hand-made relation: minus the L1 distance between the two halves of a pair of maps."""

    def forward(self, pairs, statistics):
        a, b = pairs.chunk(2, dim=2)
        return -(a - b).abs().sum((2, 3, 4))


def learner(**values):
    return planted.small(Relation, **values).double()


def features(count, seed, size=12 * 5 * 5):
    return torch.randn(2, count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_relation_of_minus_l1_is_the_nearest_class_map():
    model = learner(shots="mean").eval()
    model.relation = NegativeL1()
    support, query = features(6, 0), features(5, 1)
    classes = model.fit(support, LABELS, 3)
    expected = -torch.cdist(query, classes, p=1)
    torch.testing.assert_close(model.score(classes, query), expected)


def test_pairs_keep_the_maps_whole_and_the_class_first():
    model = learner()
    classes, query = features(3, 0), features(5, 1)
    pairs = model.pairs(classes, query).unflatten(1, (5, 3))
    for q in range(5):
        for c in range(3):
            torch.testing.assert_close(pairs[:, q, c, :12], classes[:, c].view(2, 12, 5, 5))
            torch.testing.assert_close(pairs[:, q, c, 12:], query[:, q].view(2, 12, 5, 5))


def test_the_sum_over_shots_is_k_times_the_mean():
    support = features(6, 0)
    summed = learner().fit(support, LABELS, 3)
    torch.testing.assert_close(summed, 2 * learner(shots="mean").fit(support, LABELS, 3))
    torch.testing.assert_close(summed[0, 0], support[0, 1] + support[0, 3])


def test_the_loss_is_the_squared_error_of_the_sigmoid():
    scores, target = torch.tensor([[[0.0, 2.0], [1.0, -1.0]]]), torch.tensor([[1, 1]])
    p = scores.sigmoid()[0]
    expected = (p[0, 0] ** 2 + (p[0, 1] - 1) ** 2 + p[1, 0] ** 2 + (p[1, 1] - 1) ** 2) / 4
    torch.testing.assert_close(learner().loss(scores, target), expected)


def test_both_networks_remember_statistics_in_training_only():
    model = learner()
    chosen = planted.episodes(tasks=2)
    tasks = dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())
    layers = (model.encoder.blocks[0], model.relation.blocks[0])
    before = [layer.running_mean.clone() for layer in layers]
    planted.predictions(model, tasks, transductive=True)
    assert all(torch.equal(layer.running_mean, old) for layer, old in zip(layers, before, strict=True))
    model.train()
    model.outer_loss(tasks)
    assert not any(torch.equal(layer.running_mean, old) for layer, old in zip(layers, before, strict=True))


@pytest.mark.parametrize("side, backbone, units", [(28, "conv4_valid", 64), (84, "conv4_valid", 576)])
def test_the_head_reads_as_many_units_as_released(side, backbone, units):
    spec = TaskSpec("sizes", "classification", (1, side, side), 5, 1)
    model = Relation(spec, Relation.Params(backbone=backbone))
    assert model.relation.head[0].in_features == units
