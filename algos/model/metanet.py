"""Meta Networks.

Two learners report the gradients of their support loss to a meta-learner, which returns fast weights. The embedding u
gets one set per task; the classifier b gets one set per support example, blended for each query by attention. Slow and
fast weights act side by side in every layer.

Munkhdalai, Yu: Meta Networks. ICML 2017 (Algorithm 1, and the released code).

Deviations from the paper and its released code:
1. The last layers of the meta-learners start near zero and the slow weights by He's rule. With the paper's U(-0.1, 0.1)
   everywhere, the first loss is about 64; with default layers it is 1e9. The method itself is unchanged.
2. The loss is the mean over the queries, not their sum; clip_norm in the presets is the code's 10 divided by the number
   of queries.
3. The support examples are dealt to T chunks in turn, so chunk sizes may differ by one.
4. miniImageNet is trained on tasks like the test tasks, not 10-way with a 5-way classifier that was never trained. No
   length is stated: 60,000 updates there, and 26,000 on Omniglot, the end of the axis of the paper's figure 3, are ours.
5. The support loss of u is the cross-entropy for any number of shots, as in the code (the paper: contrastive from two).

Gradients enter the meta-learners as constants (first order), as in the code; the classifier of u is never trained.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.fast_weights import (
    KINDS,
    AugmentedNet,
    ExampleMetaLearner,
    SlowBlocks,
    TaskMetaLearner,
    by_coordinate,
    in_chunks,
    size_after,
)  # fmt: skip

BLOCKS = 5
FAST_NUMBERS = 2**24
"""Number of fast weights, over all queries, that are in memory at once (64 MB)."""

Phi = tuple[dict[str, Tensor], dict[str, Tensor], Tensor]
"""Task-level fast weights `[B, K]` by kind, example-level fast weights `[B, S, K]` by kind, and their keys `[B, S, D]`."""


def cosine_attention(queries: Tensor, keys: Tensor) -> Tensor:
    """Softmax of the cosine similarity over the keys, without a temperature: `[B, Q, D]`, `[B, S, D]` -> `[B, Q, S]`."""
    squares = queries.square().sum(-1, keepdim=True) * keys.square().sum(-1).unsqueeze(1)
    return (queries @ keys.transpose(1, 2) * torch.rsqrt(squares + 1e-6)).softmax(-1)


class MetaNet(EmbeddingLearner):
    title = "MetaNet"
    family = "model-based"
    citation = "Munkhdalai & Yu 2017"
    capturable = True
    modes = ("inductive",)
    any_way = False
    presets = {
        "omniglot": dict(meta_batch=1, train_query=10, steps=26_000, schedule="constant"),
        "omniglot 20way": dict(clip_norm=0.05),
        "miniimagenet": dict(
            hidden=32, slow_blocks=3, chunks=10, meta_batch=1, train_query=15, steps=60_000, schedule="constant",
            clip_norm=0.13,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        clip_norm: float = hyper(
            0.2, "largest global norm of the outer gradient (10 for a sum over 50 queries)", least=0
        )
        hidden: int = hyper(64, "channels of each of five blocks")
        slow_blocks: int = hyper(0, "first blocks without fast weights but with batch norm", most=4)
        chunks: int = hyper(5, "pieces of the support that report to the task-level meta-learner")
        meta_units: int = hyper(20, "units of the meta-learners")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        channels, size, _ = spec.input_shape
        self.encoder = SlowBlocks(channels, params.hidden, params.slow_blocks, spec.mean, spec.std)
        self.u, self.b = (
            AugmentedNet(
                params.hidden if params.slow_blocks else channels,
                size_after(size, params.slow_blocks),
                params.hidden,
                spec.way,
                BLOCKS - params.slow_blocks,
            )
            for _ in range(2)
        )
        self.d = nn.ModuleDict({kind: TaskMetaLearner(params.meta_units) for kind in KINDS})
        self.m = nn.ModuleDict({kind: ExampleMetaLearner(params.meta_units) for kind in KINDS})

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Phi:
        """Return both levels of fast weights of the support set and the keys of its examples."""
        self.require_own_way(way, "has classifiers for")
        for_u, for_b = features[:, :, 0], features[:, :, -1]
        task_level = self.task_level(for_u, support_y)
        keys = self.u.keys(for_u, self.u.slow, self.u.split(task_level))
        return task_level, self.memory(for_b, support_y), keys

    def task_level(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Q* (eq. 3), `[B, K]` by kind: d reads the gradients of T chunks of the support set."""
        tasks, examples = y.shape
        chunks = min(self.params.chunks, examples)
        size = -(-examples // chunks)
        slot = torch.arange(size * chunks, device=y.device)
        # slots beyond the last example repeat the first examples with weight zero
        share = (slot < examples).to(x.dtype).view(size, chunks)
        share = (share / share.sum(0)).T.repeat(tasks, 1)
        order = (slot % examples).view(size, chunks).T
        gradients = self.u.loss_gradients(x[:, order].flatten(0, 1), y[:, order].flatten(0, 1), share)
        used = self.u.slow["linear0"].numel()  # the keys end before the classifier
        gradients["linear"] = gradients["linear"][:, :used]
        return {
            kind: by_coordinate(d, gradients[kind].unflatten(0, (tasks, chunks)).mT.flatten(0, 1)).view(
                tasks, -1
            )
            for kind, d in self.d.items()
        }

    def memory(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """W_i* (eq. 4), `[B, S, K]` by kind: m reads the gradient of each example."""
        alone = torch.ones_like(y, dtype=x.dtype).view(-1, 1)
        gradients = self.b.loss_gradients(x.flatten(0, 1).unsqueeze(1), y.view(-1, 1), alone)
        return {
            kind: by_coordinate(m, gradients[kind].flatten()).view(*y.shape, -1) for kind, m in self.m.items()
        }

    def score(self, phi: Phi, features: Tensor) -> Tensor:
        numbers = sum(memory.shape[0] * memory.shape[2] for memory in phi[1].values())
        return in_chunks(partial(self._score, phi), features, max(1, FAST_NUMBERS // numbers), dim=1)

    def _score(self, phi: Phi, features: Tensor) -> Tensor:
        """Logits of each query from the slow weights and its own blend of the examples' fast weights (eqs. 5 and 6)."""
        task_level, memory, keys = phi
        queries = self.u.keys(features[:, :, 0], self.u.slow, self.u.split(task_level))
        attention = cosine_attention(queries, keys)
        blended = {kind: (attention @ examples).flatten(0, 1) for kind, examples in memory.items()}
        x = features[:, :, -1].flatten(0, 1).unsqueeze(1)
        return self.b.logits(x, self.b.slow, self.b.split(blended)).view(*features.shape[:2], -1)
