"""MetaOptNet with a support vector machine.

The classifier of a task is the multi-class linear SVM of the support features. The optimum of its dual quadratic
program is differentiated implicitly, so that meta-training finds features on which it generalises.

Lee, Maji, Ravichandran, Soatto: Meta-Learning with Differentiable Convex Optimization. CVPR 2019.

Deviations from the paper and its released code:
1. The preset for miniImageNet has the published values, augmentation and optimiser; defaults suit small networks.
2. The program is solved to its optimum; the released code stops after 3 iterations of its solver at test.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from algos.base import Params, hyper
from algos.nets.backbones import BACKBONES
from algos.nets.svm import crammer_singer
from algos.optimization.metaopt_ridge import RECIPE, MetaOptRidge


class MetaOptSVM(MetaOptRidge):
    title = "MetaOptNet-SVM"
    citation = "Lee et al. 2019"
    presets = {
        "omniglot": dict(meta_batch=4, schedule="halve", halve_every=2_000),
        "miniimagenet": dict(
            backbone="resnet12", scale=1.0, meta_batch=8, train_shot=15, train_query=6, label_smoothing=0.1,
            steps=60_000, **RECIPE,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        cost: float = hyper(0.1, "C of the SVM: largest dual variable of a support example")
        scale: float = hyper(5.0, "initial value of the learned scale of the logits")
        label_smoothing: float = hyper(0.0, "probability on the wrong classes in the outer loss", most=1)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return class weights `[B, D, way]`: combinations of the support features by the dual variables."""
        across = features.transpose(1, 2)
        one_hot = F.one_hot(support_y, way).to(features.dtype)
        return across @ crammer_singer(features @ across, one_hot, self.params.cost)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return self.scale * (features @ phi)
