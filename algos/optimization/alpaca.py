"""ALPaCA: Bayesian linear regression on learned features.

A network computes features; a Gaussian prior over the last linear layer is learned with it, and adaptation computes the
exact posterior. Training maximises the predictive likelihood of the queries given contexts of random size.

Harrison, Sharma, Pavone: Meta-Learning Priors for Efficient Online Bayesian Regression. WAFR 2018.

Deviations from the paper and its released code:
1. The hidden layers of the sinusoid network use ReLU; only the features pass a tanh. The number of queries is the
   declared one.
2. Classification, which the paper lacks, is regression on centred one-hot labels. Classes are exchangeable: the prior
   mean is zero and all share one precision. `class_loss: softmax` is the cross-entropy of the predictive mean in units
   of its standard deviation, times a learned scale; `gaussian` is the paper's likelihood. The context is the whole
   support set.
3. The paper knows the noise of its sinusoids (split `noisy` here). The plain split has none: with `learn_noise` the
   likelihood learns the remaining error of the mean. It falls more slowly than the error, so intervals stay too wide.
4. On images, a learned linear map reduces the features to `width` dimensions, the size of the posterior.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.layers import Linear, Statistics
from tasks.episodes import Episodes

JITTER = 1e-6

Posterior = tuple[Tensor, Tensor]
"""Mean of the last layer `[B, D, K]` and Cholesky factor of its precision `[B, D, D]`."""


def posterior(features: Tensor, target: Tensor, prior_mean: Tensor, prior_precision: Tensor) -> Posterior:
    """Exact posterior of features `[B, S, D]` and targets `[B, S, K]` under a prior of mean `[D, K]` and precision `[D, D]`.

    precision = Phi'Phi + L0, mean = precision^-1 (Phi'Y + L0 K0), in units of the noise. Without examples it is the
    prior.
    """
    across = features.transpose(1, 2)
    factor = torch.linalg.cholesky(across @ features + prior_precision)
    return torch.cholesky_solve(across @ target + prior_precision @ prior_mean, factor), factor


def predictive(phi: Posterior, features: Tensor) -> tuple[Tensor, Tensor]:
    """Predictive mean `[B, Q, K]` and variance `[B, Q, 1]` of features `[B, Q, D]`, the latter in units of the noise.

    The variance is 1 + phi' precision^-1 phi.
    """
    mean, factor = phi
    whitened = torch.linalg.solve_triangular(factor, features.transpose(1, 2), upper=False)
    return features @ mean, 1 + whitened.square().sum(1).unsqueeze(-1)


def gaussian_nll(mean: Tensor, variance: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-density of targets `[B, Q, K]` under N(mean, variance * I), jointly over the K outputs of a query."""
    per_output = torch.log(2 * math.pi * variance) + (target - mean).square() / variance
    return per_output.sum(-1).mean() / 2


class Features(nn.Module):
    """Backbone, linear map to `width` dimensions, tanh."""

    def __init__(self, backbone: nn.Module, width: int):
        super().__init__()
        self.backbone, self.projection, self.features = backbone, Linear(backbone.features, width), width

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        return torch.tanh(self.projection(self.backbone(x, statistics)))


class ALPaCA(EmbeddingLearner):
    title = "ALPaCA"
    family = "optimization-based"
    citation = "Harrison et al. 2018"
    stated = ("sinusoid",)
    tasks = ("classification", "regression")
    presets = {
        "omniglot": dict(train_way=20, meta_batch=2, schedule="halve", halve_every=2_000),
        "miniimagenet": dict(train_query=10),
        "sinusoid": dict(
            backbone="mlp", hidden=128, width=32, meta_batch=10, train_shot=10, train_query=20, steps=3_000,
            clip_norm=0.0, noise=0.001, learn_noise=True,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        backbone: str = hyper("conv4", "network under the features", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        width: int = hyper(64, "features of the Bayesian layer")
        noise: float = hyper(0.02, "variance of the observation noise")
        learn_noise: bool = hyper(False, "train that variance too; `noise` is where it starts")
        class_loss: str = hyper("softmax", "outer loss of classification", ("softmax", "gaussian"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.regression = spec.kind == "regression"
        self.encoder = Features(build_backbone(params.backbone, params.hidden, spec), params.width)
        self.prior_root = nn.Parameter(torch.eye(params.width))
        log_noise = torch.tensor(math.log(params.noise))
        if params.learn_noise:
            self.log_noise = nn.Parameter(log_noise)
        else:
            self.register_buffer("log_noise", log_noise, persistent=False)
        if self.regression:
            self.prior_mean = nn.Parameter(nn.init.xavier_normal_(torch.empty(params.width, spec.way)))
        else:
            self.scale = nn.Parameter(torch.ones(()))

    @property
    def noise(self) -> Tensor:
        """Variance of the observations around the function, `[]`."""
        return self.log_noise.exp()

    def prior(self, outputs: int) -> tuple[Tensor, Tensor]:
        """Mean `[D, K]` and precision `[D, D]` (in units of the noise) of the last layer.

        The prior itself does not change when the noise is learned; only its precision in these units grows or shrinks.
        """
        root = self.prior_root * (self.noise / self.params.noise).sqrt()
        mean = self.prior_mean if self.regression else root.new_zeros(len(root), outputs)
        return mean, root @ root.T + JITTER * torch.eye(len(root), dtype=root.dtype, device=root.device)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Posterior:
        return posterior(features, self._targets(support_y, way, features), *self.prior(way))

    def _targets(self, labels: Tensor, way: int, like: Tensor) -> Tensor:
        return labels if self.regression else F.one_hot(labels, way).to(like.dtype) - 1 / way

    def score(self, phi: Posterior, features: Tensor) -> Tensor:
        """Regression: the predictive mean. Classification: logits."""
        mean, variance = predictive(phi, features)
        return mean if self.regression else self.scale * mean / (self.noise * variance).sqrt()

    def distribution(self, phi: Posterior, query_x: Tensor) -> tuple[Tensor, Tensor]:
        """Predictive mean `[B, Q, K]` and variance `[B, Q, 1]` of the observations, for an adapted learner in eval mode."""
        mean, variance = predictive(phi, self.embed(query_x))
        return mean, self.noise * variance

    def outer_loss(self, episodes: Episodes) -> Tensor:
        if not self.regression and self.params.class_loss == "softmax":
            return super().outer_loss(episodes)
        features = self._embed_together(torch.cat([episodes.support_x, episodes.query_x], dim=1))
        shot = episodes.support_x.shape[1]
        support, query = features[:, :shot], features[:, shot:]
        target = self._targets(episodes.support_y, episodes.way, features)
        if self.regression:  # each task sees 0 to all of its examples; a row of zeros carries no information
            seen = self._context(support)
            support, target = support * seen, target * seen
        phi = posterior(support, target, *self.prior(target.shape[-1]))
        mean, variance = predictive(phi, query)
        return gaussian_nll(
            mean, self.noise * variance, self._targets(episodes.query_y, episodes.way, features)
        )

    @staticmethod
    def _context(support: Tensor) -> Tensor:
        """Draw a mask `[B, S, 1]`: 1 for the first n examples, with n uniform in 0..S for each task."""
        tasks, shot = support.shape[:2]
        size = torch.randint(shot + 1, (tasks, 1, 1), device=support.device)
        return (torch.arange(shot, device=support.device).view(1, -1, 1) < size).to(support.dtype)
