"""Metric learners against code that nobody here wrote: easyfsl on the same embeddings, scikit-learn on the same pixels."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestCentroid, NearestNeighbors
from torch import nn

from algos.baseline.pixel_nn import PixelNN
from algos.metric.matching import Matching
from algos.metric.matching_fce import MatchingFCE
from algos.metric.protonet import ProtoNet
from algos.metric.relation import Relation
from tasks.preparation.torchvision_import import declare_operators
from tests import planted

TASKS, WAY, SHOT, SIZE = 3, 4, 3, 12
LABELS = torch.stack(
    [torch.arange(WAY).repeat(SHOT)[torch.randperm(WAY * SHOT)] for _ in range(TASKS)]
)  # any order will do: both sides see the same
CLOSE = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def easyfsl():
    """easyfsl's methods; they import torchvision, whose compiled part need not fit our torch."""
    declare_operators()
    return pytest.importorskip("easyfsl.methods")


@pytest.fixture
def embeddings():
    generator = torch.Generator().manual_seed(5)
    return (torch.randn(TASKS, n, SIZE, generator=generator) for n in (WAY * SHOT, 7))


def ours(model, support, query):
    return model.score(model.fit(support, LABELS, WAY), query).detach()


def theirs(method, support, query):
    """Scores of an easyfsl method that is given embeddings instead of images, task by task."""
    scores = []
    for s, y, q in zip(support, LABELS, query, strict=True):
        method.process_support_set(s, y)
        scores.append(method(q).detach())
    return torch.stack(scores)


def test_prototypical_scores(easyfsl, embeddings):
    """Theirs are negative distances; the paper's, and ours, are negative squared distances."""
    support, query = embeddings
    expected = -theirs(easyfsl.PrototypicalNetworks(), support, query).square()
    torch.testing.assert_close(ours(planted.small(ProtoNet), support, query), expected, **CLOSE)


class Silent(nn.Module):
    """A context encoder that adds nothing: what makes their Matching Networks, always with FCE, the plain ones."""

    def forward(self, x, state=None):
        if state is None:
            return torch.zeros(*x.shape[:-1], 2 * SIZE), None
        return torch.zeros_like(state[0]), state[1]


def test_matching_scores(easyfsl, embeddings):
    """They leave queries unnormalised and have no scale (so: unit queries times ours), and add 1e-6 before the log."""
    support, query = embeddings
    method = easyfsl.MatchingNetworks(
        feature_dimension=SIZE, support_encoder=Silent(), query_encoder=Silent()
    )
    expected = theirs(method, support, 10.0 * F.normalize(query, dim=-1)).exp() - 1e-6
    model = planted.small(Matching, scale=10.0)
    torch.testing.assert_close(ours(model, support, query).softmax(-1), expected, **CLOSE)


class FromZero(nn.Module):
    """Our cell with their calls, except that the state starts from zero (Vinyals et al., eq. 3) as ours does.

    Theirs starts from the query: the first read-out is then another, too, and is replaced by that of a zero state.
    """

    def __init__(self, cell, support):
        super().__init__()
        self.cell, self.mean, self.first = cell, support.mean(0), True

    def forward(self, x, state):
        if self.first:
            self.first = False
            x = torch.cat([x[:, :SIZE], self.mean.expand(len(x), -1)], dim=1)
            state = tuple(torch.zeros_like(part) for part in state)
        return self.cell(x, state)


def test_full_context_embeddings(easyfsl, embeddings):
    """Their query LSTM takes as many steps as there are support examples."""
    support, query = embeddings
    model = planted.small(MatchingFCE, hidden=SIZE, attention_steps=WAY * SHOT)
    context = model.fit(support, LABELS, WAY)[0]
    read = model.read(query, context)
    for t in range(TASKS):
        method = easyfsl.MatchingNetworks(
            feature_dimension=SIZE,
            support_encoder=model.support_lstm,
            query_encoder=FromZero(model.query_lstm, context[t]),
        )
        method.process_support_set(support[t], LABELS[t])
        torch.testing.assert_close(context[t], method.contextualized_support_features, **CLOSE)
        torch.testing.assert_close(read[t], method.encode_query_features(query[t]), **CLOSE)


def native_relation_module(model) -> nn.Sequential:
    """Our relation module's weights in PyTorch's own layers, the sigmoid included."""
    layers = []
    for block in model.relation.blocks:
        outputs, inputs = block.weight.shape[:2]
        convolution = nn.Conv2d(inputs, outputs, 3, padding=block.padding, bias=False)
        norm = nn.BatchNorm2d(outputs)
        convolution.weight, norm.weight, norm.bias = block.weight, block.gamma, block.beta
        norm.running_mean, norm.running_var = block.running_mean, block.running_variance
        layers += [convolution, norm, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), *model.relation.head, nn.Sigmoid())


@pytest.mark.parametrize("transductive", [False, True])
def test_relation_scores(easyfsl, transductive):
    """Theirs average the shots, which is our `mean`; their own module pools otherwise, so ours runs in native layers."""
    model = planted.small(Relation, shots="mean").eval()
    generator = torch.Generator().manual_seed(5)
    for block in model.relation.blocks:
        for tensor in (block.gamma, block.beta, block.running_mean, block.running_variance):
            tensor.data = torch.rand(tensor.shape, generator=generator) - 0.3 * (tensor is block.gamma)
    shape = model.encoder.map_shape
    support, query = (torch.randn(TASKS, n, *shape, generator=generator) for n in (WAY * SHOT, 7))
    method = easyfsl.RelationNetworks(
        feature_dimension=shape[0], relation_module=native_relation_module(model)
    )
    model.transductive = transductive
    method.train(transductive)
    scores = ours(model, support.flatten(2), query.flatten(2)).sigmoid()
    torch.testing.assert_close(scores, theirs(method, support, query), **CLOSE)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("rule", ["nearest", "mean"])
def test_nearest_pixels(metric, rule):
    """scikit-learn's nearest neighbour and nearest centroid. Its cosine distance is one minus ours.

    NearestCentroid has no cosine distance: between unit vectors the Euclidean order is the same.
    """
    tasks = planted.episodes(tasks=6, query=5)
    blurred = tasks.query_x + 0.8 * torch.rand(
        tasks.query_x.shape, generator=torch.Generator().manual_seed(1)
    )
    model = planted.small(PixelNN, metric=metric, rule=rule)
    scores = model.predict(model.adapt(tasks.support_x, tasks.support_y, planted.WAY), blurred)
    for t in range(6):
        x, y, q = tasks.support_x[t].flatten(1).double(), tasks.support_y[t], blurred[t].flatten(1).double()
        if rule == "nearest":
            near = NearestNeighbors(metric="euclidean" if metric == "l2" else "cosine", algorithm="brute")
            distances, found = near.fit(x).kneighbors(q, n_neighbors=1)
            expected = y[torch.from_numpy(found[:, 0])]
            best = (0 if metric == "l2" else 1) - torch.from_numpy(distances[:, 0])
            torch.testing.assert_close(scores[t].amax(-1).double(), best, rtol=1e-5, atol=1e-5)
        else:
            centroids = torch.stack([x[y == c].mean(0) for c in range(planted.WAY)])
            if metric == "cosine":
                centroids, q = F.normalize(centroids, dim=-1), F.normalize(q, dim=-1)
            fitted = NearestCentroid().fit(centroids, range(planted.WAY))
            expected = torch.from_numpy(fitted.predict(q))
        assert torch.equal(scores[t].argmax(-1), expected)
