"""Matching Networks.

The label distribution of a query is an attention over the support set's labels: softmax of scaled cosine similarities
between embeddings, trained end to end on episodes.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning. NeurIPS 2016 (eq. 1, 2).

Deviations from the paper:
1. The cosine is multiplied by a learned scale that starts at 10 (the paper's is 1 and fixed: at 5-way the largest
   possible probability is then 0.65, at 20-way 0.28, and the gradients vanish).
2. No fine-tuning on the support set at test. Full context embeddings are an algorithm of their own, `matching_fce`.
3. The paper does not give its training length; ours is declared.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone


def attention_log_weights(similarity: Tensor, one_hot: Tensor) -> Tensor:
    """Log of each class's unnormalised attention: `[B, Q, S]`, `[B, S, way]` -> `[B, Q, way]`.

    log sum_i exp(similarity_i) y_i, so that a softmax over classes is sum_i a_i y_i with a = softmax(similarity)
    (eq. 1) without leaving the log domain.
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
        """The support's embeddings `[B, S, D]` and its one-hot labels `[B, S, way]`."""
        return features, F.one_hot(support_y, way)

    def score(self, phi: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        support, one_hot = phi
        cosine = F.normalize(features, dim=-1) @ F.normalize(support, dim=-1).transpose(1, 2)
        return attention_log_weights(self.log_scale.exp() * cosine, one_hot)
