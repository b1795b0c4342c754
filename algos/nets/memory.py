"""External memories (Graves et al. 2014, Santoro et al. 2016): controller, content addressing, few-shot episodes.

A cell is a module with `project(tokens [B, T, inputs])`, `initial(batch) -> state` and `step(projected [B, ...], state)
-> state`. A state is a named tuple of tensors with leading B, among them `output [B, outputs]`: the hidden state of the
controller and what it has read. Nothing is changed in place.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone

TIMINGS = ("current", "flush", "delayed")


def cosine(keys: Tensor, memory: Tensor, eps: float = 1e-6) -> Tensor:
    """Cosine similarity of keys `[B, R, W]` and slots `[B, P, W]` -> `[B, R, P]`; that of an empty slot is 0."""
    lengths = keys.square().sum(-1).unsqueeze(2) * memory.square().sum(-1).unsqueeze(1)
    return keys @ memory.transpose(1, 2) * torch.rsqrt(lengths + eps)


class Controller(nn.Module):
    """LSTM cell that sees the input and what was read last.

    The input share of the gates does not depend on the state: `project` computes it for a whole sequence at once.
    """

    def __init__(self, inputs: int, reads: int, width: int):
        super().__init__()
        self.inputs = nn.Linear(inputs, 4 * width)
        self.recurrent = nn.Linear(width + reads, 4 * width, bias=False)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.xavier_uniform_(self.recurrent.weight)
        nn.init.zeros_(self.inputs.bias)
        nn.init.ones_(self.inputs.bias.data[:width])  # a forget gate that starts open

    def forward(self, projected: Tensor, output: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new hidden and cell state `[B, width]`.

        projected `[B, 4 * width]`: input share of the gates; output `[B, width + reads]`: last hidden state and reads;
        cell `[B, width]`: last cell state.
        """
        gates = projected + self.recurrent(output)
        open_gates, candidate = gates.split([3 * cell.shape[-1], cell.shape[-1]], dim=-1)
        forget, write, emit = open_gates.sigmoid().chunk(3, dim=-1)
        cell = torch.addcmul(forget * cell, write, candidate.tanh())
        return emit * cell.tanh(), cell


def copies(state: Any, count: int) -> Any:
    """Repeat the state of each task `count` times, copies side by side: leading B -> B * count."""
    return type(state)(*(part.repeat_interleave(count, dim=0) for part in state))


class MemoryLearner(EmbeddingLearner):
    """Memory cell in N-way K-shot episodes: it reads the support set, and each query gets its own copy of the state.

    label_timing `delayed`, as published: a token carries the label of the previous token, so the last label comes with
    the query. `flush`: delayed, but an extra empty token carries the last label, and queries carry none. `current`: a
    token carries its own label, and queries carry none. One-hot labels have the norm of a feature vector; at norm 1
    they would be lost among the features.
    """

    family = "model-based"
    any_way = False

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "embedding of each input", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        label_timing: str = hyper("current", "when the label of an example arrives", TIMINGS)
        width: int = hyper(200, "units of the controller")
        slots: int = hyper(128, "rows of the memory")
        slot_size: int = hyper(40, "numbers in a row of the memory")
        read_heads: int = hyper(4, "keys that read at each step")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.feature_norm = nn.LayerNorm(self.encoder.features)
        self.cell = self.make_cell(params, self.encoder.features + spec.way)
        self.head = nn.Linear(self.cell.outputs, spec.way)

    @staticmethod
    def make_cell(params: Params, inputs: int) -> nn.Module:
        """Build the memory of this algorithm for tokens of `inputs` numbers."""
        raise NotImplementedError

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> tuple[Any, Tensor]:
        """Return the state after the support set and the label that a query token carries, `[B, way]`."""
        self.require_own_way(way, "reads labels of")
        labels = F.one_hot(support_y, way).to(features) * features.shape[-1] ** 0.5
        tokens, carried = self._tokens(self.feature_norm(features), labels)
        state = self.cell.initial(len(tokens))
        for token in self.cell.project(tokens).unbind(1):
            state = self.cell.step(token, state)
        return state, carried

    def _tokens(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        timing, none = self.params.label_timing, torch.zeros_like(labels[:, :1])
        if timing == "current":
            return torch.cat([features, labels], dim=-1), none[:, 0]
        if timing == "delayed":
            return torch.cat([features, torch.cat([none, labels[:, :-1]], dim=1)], dim=-1), labels[:, -1]
        features = F.pad(features, (0, 0, 0, 1))
        return torch.cat([features, torch.cat([none, labels], dim=1)], dim=-1), none[:, 0]

    def score(self, phi: tuple[Any, Tensor], features: Tensor) -> Tensor:
        state, carried = phi
        queries = features.shape[:2]
        labels = carried.unsqueeze(1).expand(*queries, -1)
        tokens = torch.cat([self.feature_norm(features), labels], dim=-1)
        state = self.cell.step(self.cell.project(tokens).flatten(0, 1), copies(state, queries[1]))
        return self.head(state.output).unflatten(0, queries)
