"""Matching Networks with full context embeddings (FCE).

A bidirectional LSTM puts each support embedding into the context of the whole support set, and an LSTM that attends to
that set for several steps does the same for each query. Classification is then that of `matching`.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning. NeurIPS 2016 (section
2.1.2, appendix A.1 and A.2).

Deviations from the paper:
1. The deviations of `matching`.
2. The input of the attention LSTM is [query, attended support] and its state has the size of the embedding (the paper
   appends the attended support to the hidden state). It takes five steps; the paper does not state the number for each
   table.
3. Context embeddings depend on the order of the support set, which the sampler draws at random for every episode.
4. The LSTMs have the size of the embedding. Where that is too large (ResNet-12 at 84x84: 16,000 features), the
   embedding is the mean over the last map (640 features).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from algos.base import TaskSpec, hyper
from algos.metric.matching import Matching
from algos.nets.layers import Statistics

LARGEST = 4_096
"""Largest number of features; with more, the two LSTMs would have over 400 million weights."""


class MapMean(nn.Module):
    """Encoder with its last map averaged over positions: `[B, n, *x]` -> `[B, n, channels]`."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder, self.features = encoder, encoder.map_shape[0]

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        return self.encoder(x, statistics).unflatten(2, self.encoder.map_shape).mean((3, 4))


class MatchingFCE(Matching):
    title = "Matching Networks (FCE)"

    @dataclass(frozen=True)
    class Params(Matching.Params):
        attention_steps: int = hyper(5, "steps of the query's LSTM over the support set")
        clip_norm: float = hyper(1.0, "largest global norm of the outer gradient; 0 = no clipping", least=0)

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        if self.encoder.features > LARGEST and hasattr(self.encoder, "map_shape"):
            self.encoder = MapMean(self.encoder)
        size = self.encoder.features
        if size > LARGEST:
            raise ValueError(
                f"{self.title} needs LSTMs as wide as the embedding, and {params.backbone!r} has {size:,} features "
                f"here (at most {LARGEST:,}); use backbone conv4 or resnet12"
            )
        self.support_lstm = nn.LSTM(size, size, bidirectional=True, batch_first=True)
        self.query_lstm = nn.LSTMCell(2 * size, size)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """g(x_i, S) = forward h_i + backward h_i + g'(x_i): the support in its context (appendix A.2)."""
        states, _ = self.support_lstm(features)
        forward, backward = states.chunk(2, dim=-1)
        return super().fit(features + forward + backward, support_y, way)

    def score(self, phi: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        return super().score(phi, self.read(features, phi[0]))

    def read(self, query: Tensor, support: Tensor) -> Tensor:
        """f(x, S): query embeddings `[B, Q, D]`, each attending to the support `[B, S, D]` (eq. 3-6)."""
        hidden, cell = torch.zeros_like(query), torch.zeros_like(query).flatten(0, 1)
        for _ in range(self.params.attention_steps):
            attended = (hidden @ support.transpose(1, 2)).softmax(-1) @ support
            inputs = torch.cat([query, attended], dim=-1)
            output, cell = self.query_lstm(inputs.flatten(0, 1), (hidden.flatten(0, 1), cell))
            hidden = output.view_as(query) + query
        return hidden if self.params.attention_steps else query
