"""Black-box adaptation: a network reads the labelled support set and emits the parameters of the task in one forward pass.

An encoder (LSTM, bidirectional LSTM, attention, temporal convolution or mean) turns the support set into a context. A
head turns context and query into a prediction: a perceptron that reads both (`context`), a generated top layer
(`bilinear`), all weights of a small perceptron (`full`), or the LSTM with the query as its next step (`rnn`).

Hochreiter, Younger, Conwell: Learning to Learn Using Gradient Descent. ICANN 2001;
Santoro et al.: Meta-Learning with Memory-Augmented Neural Networks. ICML 2016 (its LSTM baseline);
Garnelo et al.: Conditional Neural Processes. ICML 2018 (encoder `mean`).

Deviations: no paper defines this in N-way K-shot form; the choices are those of this benchmark.
1. Images first pass a convolutional network (raw pixels reach about 60 % at most).
2. The support set comes in random order; queries never see each other.
3. The bilinear head divides by sqrt(features), so that the softmax does not saturate at initialisation. Features and
   context are layer-normalised (without this, every encoder stayed at 50 % on Omniglot for hundreds of updates).
4. A one-hot label is scaled to the norm of a feature vector. At norm 1 it is lost among 64 features: on random vectors
   the encoders attention, mean and lstm were at chance after 300 to 700 updates; with the scaling they were above 93 %.
5. `full` adds a tenth of the generated weights to learned ones, so that it starts as an ordinary perceptron.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.set_encoders import SET_ENCODERS, build_set_encoder

SCALE = 0.1
HEADS = ("bilinear", "context", "full", "rnn")


class GeneratedMLP(nn.Module):
    """Perceptron with one hidden layer whose weights are the sum of learned ones and a linear map of the context."""

    def __init__(self, context: int, inputs: int, outputs: int, hidden: int = 32):
        super().__init__()
        self.scale = SCALE
        self.shapes = [(hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
        start = nn.Sequential(nn.Linear(inputs, hidden), nn.Linear(hidden, outputs))
        self.start = nn.Parameter(nn.utils.parameters_to_vector(start.parameters()).detach())
        self.generator = nn.Linear(context, len(self.start))

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        """Context `[B, D]`, queries `[B, Q, inputs]` -> `[B, Q, outputs]`."""
        phi = self.start + self.scale * self.generator(context)
        parts = phi.split([math.prod(shape) for shape in self.shapes], dim=-1)
        w1, b1, w2, b2 = (part.unflatten(-1, shape) for part, shape in zip(parts, self.shapes, strict=True))
        hidden = torch.relu(x @ w1.transpose(1, 2) + b1.unsqueeze(1))
        return hidden @ w2.transpose(1, 2) + b2.unsqueeze(1)


class LSTM(EmbeddingLearner):
    title = "LSTM (black box)"
    family = "model-based"
    citation = "Hochreiter et al. 2001; Santoro et al. 2016"
    capturable = True
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
        head: str = hyper("bilinear", "how the context meets the query", HEADS)

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        if params.head == "rnn" and params.encoder != "lstm":
            raise ValueError(
                f"head 'rnn' goes on from an LSTM's state: use encoder 'lstm', not {params.encoder!r}"
            )
        if params.encoder == "class_mean" and spec.kind == "regression":
            raise ValueError("encoder 'class_mean' needs classes; use 'mean' or 'attention' for regression")
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        features, labels = self.encoder.features, spec.way
        length = spec.way * spec.shot if spec.kind == "classification" else spec.shot
        self.feature_norm = nn.LayerNorm(features)
        self.reader = build_set_encoder(params.encoder, features, labels, params.width, length)
        self.context_norm = nn.LayerNorm(params.width)
        if params.head == "bilinear":
            self.head = nn.Linear(params.width, labels * (features + 1))
        elif params.head == "full":
            self.head = GeneratedMLP(params.width, features, labels)
        elif params.head == "rnn":
            self.head = nn.Linear(params.width, labels)
        else:
            sizes = [features + params.width, 128, 128]
            layers = [
                m for a, b in zip(sizes[:-1], sizes[1:], strict=True) for m in (nn.Linear(a, b), nn.ReLU())
            ]
            self.head = nn.Sequential(*layers, nn.Linear(128, labels))

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor | tuple[Tensor, Tensor]:
        """Return the context `[B, width]` of the labelled support set; for head `rnn`, the state of the LSTM, two `[B, width]`."""
        self.require_own_way(way, "reads labels of")
        tokens = torch.cat([self.feature_norm(features), self._labels(support_y, features)], dim=-1)
        if self.params.head == "rnn":
            _, (hidden, cell) = self.reader.rnn(tokens)
            return hidden[0], cell[0]
        return self.context_norm(self.reader(tokens))

    def _labels(self, support_y: Tensor, features: Tensor) -> Tensor:
        """Labels `[B, S, way]`: regression targets unchanged, classes one-hot with the norm of layer-normalised features."""
        if self.spec.kind == "regression":
            return support_y
        return F.one_hot(support_y, self.spec.way).to(features.dtype) * features.shape[-1] ** 0.5

    def score(self, phi: Tensor | tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        features = self.feature_norm(features)
        if self.params.head == "rnn":
            return self._one_more_step(phi, features)
        if self.params.head == "full":
            return self.head(phi, features)
        if self.params.head == "context":
            context = phi.unsqueeze(1).expand(-1, features.shape[1], -1)
            return self.head(torch.cat([features, context], dim=-1))
        weight, bias = self.head(phi).split([self.spec.way * features.shape[-1], self.spec.way], dim=-1)
        weight = weight.unflatten(-1, (self.spec.way, features.shape[-1]))
        return features @ weight.transpose(1, 2) / features.shape[-1] ** 0.5 + bias.unsqueeze(1)

    def _one_more_step(self, state: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        """Feed each query, with label zero, as the step after the support, to its own copy of the state."""
        tokens = F.pad(features, (0, self.spec.way)).flatten(0, 1).unsqueeze(1)
        copies = tuple(s.repeat_interleave(features.shape[1], dim=0).unsqueeze(0) for s in state)
        output, _ = self.reader.rnn(tokens, copies)
        return self.head(self.context_norm(output[:, 0])).unflatten(0, features.shape[:2])
