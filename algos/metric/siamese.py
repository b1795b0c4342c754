"""Siamese network.

The network learns to tell whether two images show the same class, from the weighted L1 distance of their embeddings. A
query gets the class of the support images that it resembles most.

Koch, Zemel, Salakhutdinov: Siamese Neural Networks for One-shot Image Recognition. ICML deep learning workshop 2015.

Deviations from the paper:
1. The network is Conv4 on the benchmark's image size instead of four larger convolutions on 105x105. There is no
   sigmoid layer of 4,096 units before the distance (it saturates), and there is batch norm, as in every learner here.
2. Pairs are all (support, query) pairs of an episode of many classes, each image embedded once. Same-class and
   different-class pairs weigh one half each, as in the paper's balanced draw.
3. The optimiser is Adam with one rate, instead of momentum SGD with rate, momentum and decay tuned for each layer.
4. Pairs are not distorted, and the classes of a task may come from different alphabets.
5. With K shots, which the paper lacks, a class scores the mean (or maximum) of its K logits.
6. The weights start at -1/sqrt(features) and the bias at 2, not at random: the untrained network is then a nearest
   neighbour, and a same-class pair (whose log-odds cannot exceed the bias) starts on the right side.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from tasks.episodes import Episodes


class Siamese(EmbeddingLearner):
    title = "Siamese network"
    family = "metric-based"
    citation = "Koch et al. 2015"
    capturable = True
    presets = {
        "omniglot": dict(
            train_way=64, train_query=1, meta_batch=1
        ),  # 64 same-class pairs, as in the paper's batch of 128
        "miniimagenet": dict(train_way=64, train_query=1, meta_batch=1),
    }

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(1, "tasks per meta-update")
        train_way: int = hyper(20, "classes whose images are paired in training")
        train_shot: int = hyper(1, "images per class on one side of the training pairs")
        train_query: int = hyper(1, "images per class on the other side of the training pairs")
        backbone: str = hyper("conv4", "embedding network, the same for both images", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        rule: str = hyper("mean", "class score from the logits of its K support images", ("mean", "max"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        features = self.encoder.features
        self.alpha = nn.Parameter(torch.full((features,), -(features**-0.5)))
        self.bias = nn.Parameter(torch.tensor(2.0))

    def pair_logits(self, a: Tensor, b: Tensor) -> Tensor:
        """Log-odds `[B, n, m]` that images a `[B, n, D]` and b `[B, m, D]` show the same class: sum_j alpha_j |a_j - b_j| + bias."""
        return (a.unsqueeze(2) - b.unsqueeze(1)).abs() @ self.alpha + self.bias

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """Return the support embeddings `[B, S, D]` and the one-hot support labels `[B, S, way]`."""
        return features, F.one_hot(support_y, way).to(features.dtype)

    def score(self, phi: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        support, one_hot = phi
        logits = self.pair_logits(features, support)
        if self.params.rule == "mean":
            return logits @ (one_hot / one_hot.sum(1, keepdim=True))
        return logits.unsqueeze(-1).masked_fill(one_hot.unsqueeze(1) == 0, -torch.inf).amax(2)

    def outer_loss(self, episodes: Episodes) -> Tensor:
        """Binary cross-entropy of all (query, support) pairs; same-class and different-class pairs weigh one half each."""
        support_x, query_x = episodes.support_x, episodes.query_x
        features = self._embed_together(torch.cat([support_x, query_x], dim=1))
        support, query = features.split([support_x.shape[1], query_x.shape[1]], dim=1)
        logits = self.pair_logits(query, support)
        same = episodes.query_y.unsqueeze(2) == episodes.support_y.unsqueeze(1)
        losses = F.softplus(torch.where(same, -logits, logits))
        weights = (
            0.5 * same / same.sum() + 0.5 * ~same / (~same).sum()
        )  # no indexing, which would wait for the device
        return (losses * weights).sum()
