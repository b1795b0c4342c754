"""Ridge regression as base learner, in the forms of MetaOptNet and R2-D2.

The classifier of a task is the ridge regression of one-hot labels on the support features. Its closed form is
differentiated, so that meta-training finds features on which it generalises.

Lee, Maji, Ravichandran, Soatto: Meta-Learning with Differentiable Convex Optimization. CVPR 2019 (MetaOptNet-RR);
Bertinetto, Henriques, Torr, Vedaldi: Meta-learning with Differentiable Closed-form Solvers. ICLR 2019 (R2-D2).

Deviations from the papers and their released code:
1. The preset for miniImageNet has MetaOptNet's values, augmentation and optimiser; defaults suit small networks.
2. Training tasks have one declared number of shots; R2-D2 draws 1 to 9 at random per episode.
3. R2-D2's learned offset is left out: added to every logit, it changes no probability.
4. The form, the strength and the initial scale are hyper-parameters.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone

RECIPE = dict(
    optimizer="nesterov", momentum=0.9, weight_decay=5e-4, learning_rate=0.1, schedule="drops",
    drops="0.33333333 0.06, 0.66666666 0.012, 0.83333333 0.0024", clip_norm=0.0, augment="padded",
)  # fmt: skip
"""Outer loop on photos as released: epochs 20, 40 and 50 of 60 divide the rate."""


def ridge(features: Tensor, target: Tensor, strength: float) -> Tensor:
    """argmin |X W - Y|^2 + strength |W|^2 for each task: X `[B, S, D]`, Y `[B, S, K]` -> W `[B, D, K]`.

    Solves the smaller of the two systems: in the D weights, or in the S support examples (Woodbury's identity).
    """
    examples, dimensions = features.shape[1:]
    across = features.transpose(1, 2)
    system = features @ across if examples <= dimensions else across @ features
    system = system + strength * torch.eye(len(system[0]), dtype=system.dtype, device=system.device)
    if examples <= dimensions:
        return across @ torch.linalg.solve(system, target)
    return torch.linalg.solve(system, across @ target)


def smoothed_cross_entropy(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of logits `[B, Q, way]` to targets of 1 - smoothing on the label `[B, Q]`.

    Every other class gets smoothing / (way - 1), as in MetaOptNet's code.
    """
    way = logits.shape[-1]
    return F.cross_entropy(
        logits.flatten(0, 1), target.flatten(), label_smoothing=smoothing * way / (way - 1)
    )


class MetaOptRidge(EmbeddingLearner):
    title = "MetaOptNet-RR"
    family = "optimization-based"
    stated = ("miniimagenet",)
    citation = "Lee et al. 2019; Bertinetto et al. 2019"
    presets = {
        "omniglot": dict(train_way=20, meta_batch=2, schedule="halve", halve_every=2_000),
        "miniimagenet": dict(
            backbone="resnet12", strength=50.0, scale=1.0, meta_batch=8, train_shot=15, train_query=6,
            label_smoothing=0.1, steps=60_000, **RECIPE,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        form: str = hyper(
            "metaopt", "metaopt, or r2d2: with a bias, means over examples", ("metaopt", "r2d2")
        )
        strength: float = hyper(1.0, "ridge strength (r2d2: per support example); 50 in both papers")
        scale: float = hyper(5.0, "initial value of the learned scale of the logits")
        label_smoothing: float = hyper(0.0, "probability on the wrong classes in the outer loss", most=1)

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.scale = nn.Parameter(torch.tensor(float(params.scale)))

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return class weights `[B, D, way]` (r2d2: `[B, D + 1, way]`)."""
        target = F.one_hot(support_y, way).to(features.dtype)
        if self.params.form == "r2d2":
            return ridge(self._with_bias(features), target, self.params.strength * features.shape[1])
        return 2 * ridge(features, target, self.params.strength)  # minimises a(XX' + strength)a / 2 - 2ya

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        inputs = self._with_bias(features) if self.params.form == "r2d2" else features
        return self.scale * (inputs @ phi)

    @staticmethod
    def _with_bias(features: Tensor) -> Tensor:
        return torch.cat([features, torch.ones_like(features[..., :1])], dim=-1)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return smoothed_cross_entropy(prediction, target, self.params.label_smoothing)
