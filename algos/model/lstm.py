"""Black-box adaptation: a network reads the labelled support set and emits the task's parameters in a forward pass.

An encoder (LSTM, bidirectional LSTM, attention, temporal convolution or mean) turns the support into a context; a
head turns context and query into a prediction.

Hochreiter, Younger, Conwell: Learning to Learn Using Gradient Descent. ICANN 2001;
Santoro et al.: Meta-Learning with Memory-Augmented Neural Networks. ICML 2016 (its LSTM baseline);
Garnelo et al.: Conditional Neural Processes. ICML 2018 (encoder `mean`).

Deviations: there is no canonical paper in N-way K-shot form; the choices are this benchmark's.
1. Images pass a convolutional network first (raw pixels top out near 60 %).
2. The support comes in random order; queries never see each other.
3. The bilinear head divides by sqrt(features), so that the softmax does not saturate at initialisation; features and
   context are layer-normalised (without it every encoder sat at 50 % on Omniglot for hundreds of updates).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.set_encoders import SET_ENCODERS, build_set_encoder


class LSTM(EmbeddingLearner):
    title = "LSTM (black box)"
    family = "model-based"
    citation = "Hochreiter et al. 2001; Santoro et al. 2016"
    tasks = ("classification", "regression")
    any_way = False
    presets = {
        "sinusoid": dict(
            backbone="mlp", hidden=64, encoder="mean", head="context", meta_batch=32, train_query=20
        )
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "embedding of each input", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        encoder: str = hyper("class_mean", "reader of the support set", SET_ENCODERS)
        width: int = hyper(256, "size of the context")
        head: str = hyper("bilinear", "how the context meets the query", ("bilinear", "context"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        features, labels = self.encoder.features, spec.way
        length = spec.way * spec.shot if spec.kind == "classification" else spec.shot
        self.feature_norm = nn.LayerNorm(features)
        self.reader = build_set_encoder(params.encoder, features, labels, params.width, length)
        self.context_norm = nn.LayerNorm(params.width)
        if params.head == "bilinear":
            self.head = nn.Linear(params.width, labels * (features + 1))
        else:
            sizes = [features + params.width, 128, 128]
            layers = [
                m for a, b in zip(sizes[:-1], sizes[1:], strict=True) for m in (nn.Linear(a, b), nn.ReLU())
            ]
            self.head = nn.Sequential(*layers, nn.Linear(128, labels))

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Context `[B, width]` of the labelled support set."""
        if way != self.spec.way:
            raise ValueError(
                f"{self.title} reads labels of {self.spec.way} classes and cannot do {way}-way tasks"
            )
        regression = self.spec.kind == "regression"
        labels = support_y if regression else F.one_hot(support_y, way).to(features.dtype)
        return self.context_norm(self.reader(torch.cat([self.feature_norm(features), labels], dim=-1)))

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        features = self.feature_norm(features)
        if self.params.head == "context":
            context = phi.unsqueeze(1).expand(-1, features.shape[1], -1)
            return self.head(torch.cat([features, context], dim=-1))
        weight, bias = self.head(phi).split([self.spec.way * features.shape[-1], self.spec.way], dim=-1)
        weight = weight.unflatten(-1, (self.spec.way, features.shape[-1]))
        return features @ weight.transpose(1, 2) / features.shape[-1] ** 0.5 + bias.unsqueeze(1)
