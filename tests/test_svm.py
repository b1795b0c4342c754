"""The batched SVM against scikit-learn, its optimality conditions and finite differences (cards E15, E16, E18)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.svm import LinearSVC

from algos.nets.svm import crammer_singer, interior_point
from algos.optimization.metaopt_svm import MetaOptSVM
from tests import planted

COST = 0.1


pytestmark = pytest.mark.usefixtures("float64")


def support(way, shot, tasks=2, dimensions=16):
    """Features with some class structure, and labels in random order."""
    labels = torch.stack([torch.arange(way * shot)[torch.randperm(way * shot)] % way for _ in range(tasks)])
    centres = torch.randn(tasks, way, dimensions)
    features = centres.gather(1, labels.unsqueeze(-1).expand(-1, -1, dimensions))
    return features + torch.randn(features.shape), F.one_hot(labels, way).double()


@pytest.mark.parametrize("way, shot", [(5, 1), (5, 5), (3, 10)])
def test_it_equals_scikit_learn(way, shot):
    """An identity beside the features gives the program's K + I; its weights are then the dual variables."""
    features, one_hot = support(way, shot)
    dual = crammer_singer(features @ features.mT, one_hot, COST)
    for t in range(2):
        reference = LinearSVC(
            multi_class="crammer_singer", C=COST, fit_intercept=False, tol=1e-12, max_iter=500_000
        ).fit(np.hstack([features[t], np.eye(way * shot)]), one_hot[t].argmax(-1).numpy())
        np.testing.assert_allclose(dual[t], reference.coef_[:, 16:].T, atol=1e-9)
        np.testing.assert_allclose(features[t].T @ dual[t], reference.coef_[:, :16].T, atol=1e-9)


@pytest.mark.parametrize("way, shot", [(5, 1), (5, 5), (20, 2)])
def test_the_optimality_conditions_hold(way, shot):
    features, one_hot = support(way, shot)
    hessian = features @ features.mT + torch.eye(way * shot)
    bound = COST * one_hot.mT
    dual, slack, multiplier = interior_point(hessian, one_hot.mT, bound, 15)
    torch.testing.assert_close(slack, bound - dual, atol=1e-10, rtol=0)
    assert dual.sum(1).abs().max() < 1e-10
    assert slack.min() > 0 and multiplier.min() > 0
    assert (slack * multiplier).abs().max() < 1e-9
    gradient = dual @ hessian - one_hot.mT + multiplier  # the same for each class: minus the row's multiplier
    torch.testing.assert_close(gradient, gradient[:, :1].expand_as(gradient), atol=1e-7, rtol=0)


def test_a_support_example_given_twice_is_no_trouble():
    features, one_hot = support(3, 2)
    features[:, 1], one_hot[:, 1] = features[:, 0], one_hot[:, 0]
    dual = crammer_singer(features @ features.mT, one_hot, COST)
    assert torch.isfinite(dual).all()
    torch.testing.assert_close(dual[:, 0], dual[:, 1], atol=1e-9, rtol=0)


def test_its_gradient_equals_finite_differences():
    features, one_hot = support(3, 2, dimensions=4)

    def weights(x):
        return x.mT @ crammer_singer(x @ x.mT, one_hot, COST, iterations=40)

    assert torch.autograd.gradcheck(weights, features.requires_grad_())


def test_few_iterations_have_the_gradient_of_many():
    features, one_hot = support(5, 5)
    features.requires_grad_()
    signal = torch.randn(2, 25, 5)
    few, many = (
        torch.autograd.grad(
            (crammer_singer(features @ features.mT, one_hot, COST, n) * signal).sum(), features
        )[0]
        for n in (15, 40)
    )
    torch.testing.assert_close(few, many, rtol=1e-5, atol=1e-8)


def test_large_features_in_single_precision():
    """A network's features may be large: 1,600 of size ten give a kernel of 1e5."""
    features, one_hot = support(5, 5, dimensions=1_600)
    features = (10 * features).float().requires_grad_()
    dual = crammer_singer(features @ features.mT, one_hot, COST)
    assert dual.dtype == torch.float32
    dual.square().sum().backward()
    assert torch.isfinite(dual).all() and torch.isfinite(features.grad).all()


def test_any_way_and_any_name_of_a_class():
    model = planted.small(MetaOptSVM).double()
    tasks = planted.sampler("ways", "test").sample(2, 5, 2, 4)
    names = torch.tensor([4, 2, 0, 1, 3])
    logits, renamed = (
        planted.predictions(
            model, planted.Episodes(tasks.support_x.double(), y, tasks.query_x.double(), y, 5)
        )
        for y in (tasks.support_y, names[tasks.support_y])
    )
    torch.testing.assert_close(renamed[..., names], logits, rtol=1e-6, atol=1e-8)
