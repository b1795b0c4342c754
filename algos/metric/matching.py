"""Matching Networks.

The label distribution of a query is a weighted mean of the support labels. The weights are a softmax of scaled cosine
similarities between embeddings, trained end to end on episodes.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning. NeurIPS 2016 (eq. 1, 2).

Deviations from the paper:
1. The cosine is multiplied by a learned scale that starts at 10. The paper has no scale, which limits the largest
   possible probability to 0.65 at 5-way and 0.28 at 20-way and makes the gradients vanish.
2. There is no fine-tuning on the support set at test. Full context embeddings are a separate algorithm, `matching_fce`.
3. The paper does not state its training length; ours is declared in the hyper-parameters.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone


def attention_log_weights(similarity: Tensor, one_hot: Tensor) -> Tensor:
    """Log of the unnormalised attention of each class: `[B, Q, S]`, `[B, S, way]` -> `[B, Q, way]`.

    log sum_i exp(similarity_i) y_i. Its softmax over classes is sum_i a_i y_i with a = softmax(similarity) (eq. 1),
    computed entirely in the log domain.
    """
    per_class = similarity.unsqueeze(-1).masked_fill(one_hot.unsqueeze(1) == 0, -torch.inf)
    return per_class.logsumexp(2)


class Matching(EmbeddingLearner):
    title = "Matching Networks"
    family = "metric-based"
    citation = "Vinyals et al. 2016"
    capturable = True
    presets = {"omniglot": dict(train_query=5), "miniimagenet": dict(train_query=15)}

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        scale: float = hyper(10.0, "factor of the cosine at the start of training")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.log_scale = nn.Parameter(torch.tensor(math.log(params.scale)))

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """Return the support embeddings `[B, S, D]` and the one-hot support labels `[B, S, way]`."""
        return features, F.one_hot(support_y, way)

    def score(self, phi: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        support, one_hot = phi
        cosine = F.normalize(features, dim=-1) @ F.normalize(support, dim=-1).transpose(1, 2)
        return attention_log_weights(self.log_scale.exp() * cosine, one_hot)
