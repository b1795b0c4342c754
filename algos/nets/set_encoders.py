"""Encoders of a labelled support set: `[B, S, C]` tokens -> `[B, D]` context."""

import torch
from torch import Tensor, nn

from algos.nets.temporal import TCBlock

SET_ENCODERS = ("lstm", "bilstm", "attention", "tconv", "mean", "class_mean")


def build_set_encoder(name: str, features: int, labels: int, width: int, length: int) -> nn.Module:
    """Build a module `[B, S, features + labels] -> [B, width]`; the last `labels` numbers of a token are its label.

    lstm, bilstm and tconv depend on the order of the examples; attention, mean and class_mean do not.
    length: support examples per task, which tconv must all see.
    """
    inputs = features + labels
    if name == "attention":
        return Attention(inputs, width)
    if name == "mean":
        return Mean(inputs, width)
    if name == "class_mean":
        return ClassMean(features, labels, width)
    if name == "tconv":
        return TemporalConvolution(inputs, width, length)
    return Recurrent(inputs, width, bidirectional=name == "bilstm")


class Recurrent(nn.Module):
    """Last hidden state of an LSTM; if bidirectional, those of both directions (half the width each)."""

    def __init__(self, inputs: int, width: int, bidirectional: bool):
        super().__init__()
        self.rnn = nn.LSTM(
            inputs, width // (1 + bidirectional), batch_first=True, bidirectional=bidirectional
        )
        for name, bias in self.rnn.named_parameters():
            if name.startswith("bias_ih"):  # an open forget gate carries the first example to the end
                nn.init.ones_(bias.data.chunk(4)[1])

    def forward(self, tokens: Tensor) -> Tensor:
        _, (hidden, _) = self.rnn(tokens)
        return hidden.transpose(0, 1).flatten(1)


class Attention(nn.Module):
    """Two pre-norm Transformer layers without positions, then the mean (Vaswani et al. 2017)."""

    def __init__(self, inputs: int, width: int, heads: int = 4, depth: int = 2):
        super().__init__()
        self.inputs = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.inputs(tokens)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens.mean(1)


class TemporalConvolution(nn.Module):
    """Dilated causal convolutions over the support sequence, then the mean over time."""

    def __init__(self, inputs: int, width: int, length: int):
        super().__init__()
        self.block = TCBlock(inputs, length, width)
        self.output = nn.Linear(self.block.outputs, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.block(tokens)).mean(1)


class Mean(nn.Module):
    """Mean of an MLP over the examples (Garnelo et al. 2018, conditional neural processes)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        layers = [
            nn.Linear(inputs, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        ]
        self.mlp = nn.Sequential(*layers)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.mean(self.mlp(tokens), dim=1)


class ClassMean(nn.Module):
    """Means of an MLP over each class, joined in label order (conditional neural processes for classification)."""

    def __init__(self, features: int, labels: int, width: int):
        super().__init__()
        self.labels = labels
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, features))
        self.output = nn.Linear(labels * features, width)

    def forward(self, tokens: Tensor) -> Tensor:
        one_hot = tokens[..., -self.labels :]
        share = one_hot / one_hot.sum(1, keepdim=True)
        means = share.transpose(1, 2) @ self.mlp(tokens[..., : -self.labels])
        return self.output(means.flatten(1))
