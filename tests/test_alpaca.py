"""ALPaCA's posterior against scikit-learn, least squares and the marginal likelihood (cards E12-E14)."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.linear_model import Ridge
from torch.distributions import MultivariateNormal

from algos.base import TaskSpec
from algos.optimization.alpaca import ALPaCA, gaussian_nll, posterior, predictive
from algos.optimization.metaopt_ridge import ridge
from tasks.episodes import Episodes
from tests import planted

NOISE = 0.3


pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def problem():
    """Features, targets and queries of two tasks, and a general prior: mean, root of the precision."""
    return dict(
        features=torch.randn(2, 6, 4), target=torch.randn(2, 6, 3), query=torch.randn(2, 5, 4),
        mean=torch.randn(4, 3), root=torch.randn(4, 4),
    )  # fmt: skip


def plain_prior(problem):
    return torch.zeros_like(problem["mean"]), torch.eye(4)


def regressor(**values) -> ALPaCA:
    spec = TaskSpec("toy", "regression", (1,), 1, 5)
    return ALPaCA(spec, ALPaCA.Params(backbone="mlp", hidden=8, width=6, **values))


def test_with_a_plain_prior_it_is_ridge_regression(problem):
    mean, _ = posterior(problem["features"], problem["target"], *plain_prior(problem))
    torch.testing.assert_close(mean, ridge(problem["features"], problem["target"], 1.0))
    for t in range(2):
        reference = Ridge(alpha=1.0, fit_intercept=False).fit(
            problem["features"][t].numpy(), problem["target"][t].numpy()
        )
        np.testing.assert_allclose(mean[t].T, reference.coef_, rtol=1e-10)


def test_with_a_plain_prior_it_is_a_gaussian_process(problem):
    phi = posterior(problem["features"], problem["target"], *plain_prior(problem))
    mean, variance = predictive(phi, problem["query"])
    for t in range(2):
        process = GaussianProcessRegressor(
            NOISE * DotProduct(0.0, sigma_0_bounds="fixed"), alpha=NOISE, optimizer=None
        )
        process.fit(problem["features"][t].numpy(), problem["target"][t].numpy())
        theirs, deviation = process.predict(problem["query"][t].numpy(), return_std=True)
        np.testing.assert_allclose(mean[t], theirs, rtol=1e-9)
        observed = deviation.reshape(5, -1)[:, :1] ** 2 + NOISE
        np.testing.assert_allclose(NOISE * variance[t], observed, rtol=1e-9)


def test_a_general_prior_is_as_good_as_more_examples(problem):
    """Least squares with the pseudo-examples (L0', L0' K0) beside the data."""
    root, mean = problem["root"], problem["mean"]
    ours, _ = posterior(problem["features"], problem["target"], mean, root @ root.T)
    rows = torch.cat([problem["features"], root.T.expand(2, -1, -1)], dim=1)
    values = torch.cat([problem["target"], (root.T @ mean).expand(2, -1, -1)], dim=1)
    torch.testing.assert_close(ours, torch.linalg.lstsq(rows, values).solution)


def test_no_example_leaves_the_prior_and_their_order_does_not_matter(problem):
    prior = problem["mean"], problem["root"] @ problem["root"].T
    mean, factor = posterior(problem["features"][:, :0], problem["target"][:, :0], *prior)
    torch.testing.assert_close(mean, prior[0].expand(2, -1, -1))
    torch.testing.assert_close(factor @ factor.mT, prior[1].expand(2, -1, -1))
    whole = posterior(problem["features"], problem["target"], *prior)
    turned = posterior(problem["features"].flip(1), problem["target"].flip(1), *prior)
    for a, b in zip(whole, turned, strict=True):
        torch.testing.assert_close(a, b)


def test_one_step_predictions_multiply_to_the_marginal_likelihood(problem):
    """log N(y; Phi K0, noise (I + Phi L0^-1 Phi')) = sum of the log-densities of each example given those before."""
    features, target, mean = problem["features"], problem["target"][..., :1], problem["mean"][:, :1]
    precision = problem["root"] @ problem["root"].T
    covariance = NOISE * (torch.eye(6) + features @ torch.linalg.inv(precision) @ features.mT)
    expected = MultivariateNormal((features @ mean)[..., 0], covariance).log_prob(target[..., 0])
    total = torch.zeros(())
    for i in range(6):
        phi = posterior(features[:, :i], target[:, :i], mean, precision)
        centre, variance = predictive(phi, features[:, i : i + 1])
        total = total - 2 * gaussian_nll(centre, NOISE * variance, target[:, i : i + 1])  # mean of 2 tasks
    torch.testing.assert_close(total, expected.sum())


def test_the_training_loss_is_the_predictive_likelihood_of_a_part_of_the_support():
    model = regressor(noise=NOISE)
    episodes = Episodes(*(torch.randn(3, n, 1) for n in (5, 5, 7, 7)), way=1)
    size = torch.tensor([0, 2, 5])
    model._context = lambda support: (torch.arange(5) < size.unsqueeze(1)).unsqueeze(-1).double()
    losses = []
    for t, n in enumerate(size):
        phi = model.fit(model.embed(episodes.support_x[t : t + 1, :n]), episodes.support_y[t : t + 1, :n], 1)
        mean, variance = model.distribution(phi, episodes.query_x[t : t + 1])
        losses.append(-torch.distributions.Normal(mean, variance.sqrt()).log_prob(episodes.query_y[t]).mean())
    torch.testing.assert_close(model.outer_loss(episodes), torch.stack(losses).mean())


def test_contexts_have_every_size():
    sizes = ALPaCA._context(torch.zeros(2_000, 5, 1)).sum((1, 2))
    shares = torch.stack([(sizes == n).double().mean() for n in range(6)])
    torch.testing.assert_close(shares, torch.full((6,), 1 / 6), atol=0.04, rtol=0)


def test_it_predicts_the_mean_of_its_distribution_and_knows_where_it_does_not_know():
    model = regressor().eval()
    x = torch.linspace(1, 3, 5).view(1, 5, 1)
    with torch.no_grad():
        phi = model.adapt(x, torch.sin(x), 1)
        mean, variance = model.distribution(phi, x)
        torch.testing.assert_close(model.predict(phi, x), mean)
        before = model.distribution(model.adapt(x[:, :0], x[:, :0], 1), x)[1]
    assert (variance < before).all() and (variance > model.params.noise).all()


def test_classes_are_exchangeable_and_of_any_number():
    model = planted.small(ALPaCA).double()
    tasks = planted.sampler("ways", "test").sample(2, 5, 2, 4)
    names = torch.tensor([4, 2, 0, 1, 3])
    logits, renamed = (
        planted.predictions(model, Episodes(tasks.support_x.double(), y, tasks.query_x.double(), y, 5))
        for y in (tasks.support_y, names[tasks.support_y])
    )
    torch.testing.assert_close(renamed[..., names], logits)


def test_classification_regresses_centred_labels():
    model = planted.small(ALPaCA).double()
    features, labels = torch.randn(2, 6, 96), torch.arange(6).expand(2, -1) % 3
    mean, _ = model.fit(features, labels, 3)
    prior = model.prior(3)[1]
    system = features.mT @ features + prior
    expected = torch.linalg.solve(system, features.mT @ (F.one_hot(labels, 3) - 1 / 3))
    torch.testing.assert_close(mean, expected)


def test_the_density_is_a_normal_one():
    assert gaussian_nll(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.zeros(1, 1, 1)) == pytest.approx(
        math.log(2 * math.pi) / 2
    )
