"""Memory-augmented neural network (MANN): a recurrent controller that binds images to labels in an external memory.

It writes to the least recently used slot or to where it has just read, and it reads by content. Only the memory holds
what is specific to a task; the weights do not change.

Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented Neural Networks. ICML 2016.

Deviations from the paper:
1. Tasks are N-way K-shot episodes, besides the paper's stream of 50 presentations (`python -m bench stream`). Label
   timing is explained in MemoryLearner; only the paper's own timing, `delayed`, tests binding over time. In episodes,
   images pass a convolutional network, features are layer-normalised and labels are scaled to their norm; the stream
   has raw pixels and plain labels, as published.
2. Head j erases and writes the j-th least used slot, so that write weights sum to one; the paper gives all heads the
   same slots. The controller sets the gate between writing there and writing where the head last read (the paper: a
   scalar).
3. `key_strength: learned` multiplies the similarity by 1 + softplus(.), about 5 at first. Without it the best of 128
   slots gets at most 5.5 % of a reading, and learning starts later. `none` is the paper's choice.
4. A head writes its key, as in the paper (`content: key`); ports that reproduce the paper's table write a vector of their
   own (`own`), which binds sooner: on streams of three classes of 16 numbers (Adam, rate 0.003), 94 % against 74 % of
   second presentations were right after 500 updates, and 98 % against 88 % after 1,000. An LSTM had 32 % and 76 %. First
   presentations rise above chance only after that, to 56 % against 47 % (limit 61 %).
5. Usage decays by 0.95 per step; the paper does not state the value.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import hyper
from algos.nets.memory import Controller, MemoryLearner, cosine

DECAY, FIRST_STRENGTH = 0.95, 5.0


class State(NamedTuple):
    """output `[B, width + R W]`; cell `[B, width]`; memory `[B, P, W]`; read_weights `[B, R, P]`; usage `[B, P]`."""

    output: Tensor
    cell: Tensor
    memory: Tensor
    read_weights: Tensor
    usage: Tensor


class LeastRecentlyUsedMemory(nn.Module):
    """Memory of P slots with W numbers each, R heads that write and read, and an LSTM controller."""

    def __init__(
        self, inputs: int, width: int, slots: int, slot_size: int, heads: int, strength: bool, tied: bool
    ):
        super().__init__()
        self.slots, self.slot_size, self.heads, self.tied = slots, slot_size, heads, tied
        self.controller = Controller(inputs, heads * slot_size, width)
        sizes = [heads * slot_size, heads, 0 if tied else heads * slot_size, heads if strength else 0]
        self.sizes = sizes
        self.emit = nn.Linear(width, sum(sizes))
        nn.init.xavier_uniform_(self.emit.weight)
        nn.init.zeros_(self.emit.bias)
        if strength:
            nn.init.constant_(
                self.emit.bias.data[-heads:], FIRST_STRENGTH - 1
            )  # softplus(x) is about x there
        self.outputs = width + heads * slot_size

    def project(self, tokens: Tensor) -> Tensor:
        """Input share of the controller's gates: tokens `[B, T, inputs]` -> `[B, T, 4 * width]`."""
        return self.controller.inputs(tokens)

    def initial(self, batch: int) -> State:
        """Return the state of `batch` tasks before the first token: an empty memory whose first slot counts as used."""
        weight = self.emit.weight
        first = torch.cat([weight.new_ones(batch, 1), weight.new_zeros(batch, self.slots - 1)], dim=1)
        return State(
            weight.new_zeros(batch, self.outputs),
            weight.new_zeros(batch, weight.shape[1]),
            weight.new_full((batch, self.slots, self.slot_size), 1e-6),
            first.unsqueeze(1).expand(-1, self.heads, -1),
            first,
        )

    def step(self, projected: Tensor, state: State) -> State:
        """Read one token per task, already projected `[B, 4 * width]`: write, then read; return the next state."""
        hidden, cell = self.controller(projected, state.output, state.cell)
        keys, content, gates, strength = self._emitted(hidden)
        least = self.least_used(state.usage)
        write_weights = torch.lerp(least, state.read_weights, gates)
        memory = self.write(state.memory, least[:, 0], write_weights, content)
        similarity = cosine(keys, memory)
        read_weights = (similarity if strength is None else strength * similarity).softmax(-1)
        read = (read_weights @ memory).flatten(1)
        with torch.no_grad():  # usage only ranks the slots, and a ranking passes no gradient
            usage = DECAY * state.usage + read_weights.sum(1) + write_weights.sum(1)
        return State(torch.cat([hidden, read], dim=-1), cell, memory, read_weights, usage)

    def _emitted(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return keys and contents `[B, R, W]`, gates and key strengths `[B, R, 1]` (None if not learned)."""
        keys, gates, content, strength = self.emit(hidden).split(self.sizes, dim=-1)
        keys = keys.tanh().unflatten(-1, (self.heads, -1))
        content = keys if self.tied else content.tanh().unflatten(-1, (self.heads, -1))
        strength = 1 + F.softplus(strength).unsqueeze(-1) if self.sizes[-1] else None
        return keys, content, gates.sigmoid().unsqueeze(-1), strength

    def least_used(self, usage: Tensor) -> Tensor:
        """Assign each head a slot, least used first: usage `[B, P]` -> one-hot `[B, R, P]`. The first slot wins a tie."""
        order = usage.sort(dim=-1, stable=True).indices[:, : self.heads]
        return usage.new_zeros(*order.shape, self.slots).scatter_(2, order.unsqueeze(-1), 1.0)

    @staticmethod
    def write(memory: Tensor, erased: Tensor, weights: Tensor, content: Tensor) -> Tensor:
        """Clear the slot `erased` (one-hot `[B, P]`), then add each head's content `[B, R, W]` by its weights `[B, R, P]`."""
        return torch.baddbmm(memory * (1 - erased).unsqueeze(-1), weights.transpose(1, 2), content)


class MANN(MemoryLearner):
    title = "MANN, labels with the image"
    citation = "Santoro et al. 2016"
    capturable = True

    @dataclass(frozen=True)
    class Params(MemoryLearner.Params):
        key_strength: str = hyper("learned", "factor of the similarity in reading", ("learned", "none"))
        content: str = hyper(
            "key", "what a head writes: its key (the paper) or its own vector", ("key", "own")
        )

    @staticmethod
    def make_cell(params: Params, inputs: int) -> LeastRecentlyUsedMemory:
        p = params
        learned, tied = p.key_strength == "learned", p.content == "key"
        return LeastRecentlyUsedMemory(inputs, p.width, p.slots, p.slot_size, p.read_heads, learned, tied)
