"""The ridge base learner against scikit-learn and against the two papers' formulas (card E17)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge

from algos.optimization.metaopt_ridge import MetaOptRidge, ridge, smoothed_cross_entropy
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def learner(**values) -> MetaOptRidge:
    return planted.small(MetaOptRidge, **values).double()


def support(examples=6, dimensions=10):
    labels = torch.stack([torch.randperm(examples) % 3 for _ in range(2)])
    return torch.randn(2, examples, dimensions), labels


@pytest.mark.parametrize("dimensions", [4, 6, 10], ids=["primal", "square", "woodbury"])
def test_it_equals_scikit_learn(dimensions):
    features, labels = support(dimensions=dimensions)
    target = F.one_hot(labels, 3).double()
    weights = ridge(features, target, 0.7)
    for t in range(2):
        reference = Ridge(alpha=0.7, fit_intercept=False, solver="svd").fit(
            features[t].numpy(), target[t].numpy()
        )
        np.testing.assert_allclose(weights[t].T, reference.coef_, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dimensions", [4, 10])
def test_r2d2_scales_by_the_examples_and_regularises_the_bias(dimensions):
    """Its code: X = [z, 1] / sqrt(n), Y = Y / sqrt(n), W = X' (XX' + strength)^-1 Y."""
    features, labels = support(dimensions=dimensions)
    x = torch.cat([features, torch.ones(2, 6, 1)], dim=-1) / 6**0.5
    y = F.one_hot(labels, 3) / 6**0.5
    expected = x.mT @ torch.linalg.inv(x @ x.mT + 0.3 * torch.eye(6)) @ y
    model = learner(form="r2d2", strength=0.3, scale=2.0)
    weights = model.fit(features, labels, 3)
    torch.testing.assert_close(weights, expected)
    queries = torch.randn(2, 5, dimensions)
    torch.testing.assert_close(
        model.score(weights, queries), 2 * (queries @ weights[:, :-1] + weights[:, -1:])
    )


def test_metaoptnet_minimises_its_dual():
    """a(XX' + strength)a / 2 - 2ya per class: its gradient is zero; the weights are X'a, twice those of the ridge."""
    features, labels = support()
    target = F.one_hot(labels, 3).double()
    weights = learner(strength=0.4).fit(features, labels, 3)
    dual = torch.linalg.lstsq(features.mT, weights).solution.requires_grad_()
    system = features @ features.mT + 0.4 * torch.eye(6)
    objective = (0.5 * dual * (system @ dual) - 2 * target * dual).sum()
    (gradient,) = torch.autograd.grad(objective, dual)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-9, rtol=0)
    torch.testing.assert_close(weights, 2 * ridge(features, target, 0.4))


@pytest.mark.parametrize("dimensions", [4, 10])
def test_its_gradient_equals_finite_differences(dimensions):
    features, labels = support(dimensions=dimensions)
    target = F.one_hot(labels, 3).double()
    assert torch.autograd.gradcheck(lambda x: ridge(x, target, 0.5), features.requires_grad_())


def test_the_smoothed_target_is_the_papers():
    logits, labels = torch.randn(2, 4, 5), torch.randint(5, (2, 4))
    one_hot = F.one_hot(labels, 5)
    target = 0.9 * one_hot + 0.1 / 4 * (1 - one_hot)
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(smoothed_cross_entropy(logits, labels, 0.1), expected)
    torch.testing.assert_close(learner(label_smoothing=0.1).loss(logits, labels), expected)


def test_any_way_and_any_name_of_a_class():
    model = learner()
    tasks = planted.sampler("ways", "test").sample(2, 5, 2, 4)
    names = torch.tensor([4, 2, 0, 1, 3])
    logits, renamed = (
        planted.predictions(
            model, planted.Episodes(tasks.support_x.double(), y, tasks.query_x.double(), y, 5)
        )
        for y in (tasks.support_y, names[tasks.support_y])
    )
    torch.testing.assert_close(renamed[..., names], logits)
