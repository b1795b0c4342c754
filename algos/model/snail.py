"""SNAIL, the simple neural attentive meta-learner.

An episode is a sequence of (embedding, label) tokens that ends with an unlabelled query. Dilated causal convolutions
aggregate the past, causal attention picks single tokens from it, and the class is predicted at the last position.

Mishra, Rohaninejad, Chen, Abbeel: A Simple Neural Attentive Meta-Learner. ICLR 2018.

Deviations from the paper:
1. A training task has several queries, each the last token of its own sequence. By causality, the activations of the
   support are the same for all of them, so they are computed once and only the queries pass through (exact).
2. Dilations begin at 1, so that the last position reaches every earlier one; `dilation_start: 2` is the pseudo-code's.
3. Adam's rate is 1e-3 with a cosine schedule; at 1e-4 training stays at chance for thousands of updates.
4. miniImageNet is trained with the number of shots of the test tasks, not with a number drawn for each batch.
5. Regression (not in the paper): the label of a token is its target, and the last position gives the mean.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.snail_resnet import SnailResNet
from algos.nets.temporal import CausalAttention, TCBlock


class SNAIL(EmbeddingLearner):
    title = "SNAIL"
    family = "model-based"
    citation = "Mishra et al. 2018"
    capturable = True
    tasks = ("classification", "regression")
    any_way = False
    presets = {
        "omniglot": dict(backbone="conv4", hidden=64, embedding=64, width=128, train_query=5),
        "miniimagenet": dict(backbone="snail_resnet", hidden=64, embedding=384, width=128, steps=60_000),
        "sinusoid": dict(backbone="mlp", hidden=64, embedding=32, width=32, meta_batch=32, train_query=20),
    }

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "embedding of each input", (*BACKBONES, "snail_resnet"))
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        embedding: int = hyper(64, "numbers of a token that describe its input")
        width: int = hyper(128, "filters of a temporal convolution; the attention blocks are sized by it")
        dilation_start: int = hyper(1, "dilation of the first temporal convolution of each block")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        if params.backbone == "snail_resnet":
            self.encoder = SnailResNet(spec.input_shape, params.hidden, spec.mean, spec.std)
        else:
            self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.embedding = nn.Linear(self.encoder.features, params.embedding)
        examples = spec.way * spec.shot if spec.kind == "classification" else spec.shot
        self.blocks, channels = self._blocks(params.embedding + spec.way, examples + 1)
        self.head = nn.Linear(channels, spec.way)

    def _blocks(self, channels: int, length: int) -> tuple[nn.ModuleList, int]:
        """Build the blocks. At width 128: attention (64, 32), convolutions, attention (256, 128), convolutions, attention (512, 256)."""
        width, blocks = self.params.width, nn.ModuleList()
        for keys, values in ((width // 2, width // 4), (2 * width, width), (4 * width, 2 * width)):
            if blocks:
                convolutions = TCBlock(channels, length, width, self.params.dilation_start)
                blocks.extend(convolutions.blocks)
                channels = convolutions.outputs
            blocks.append(CausalAttention(channels, keys, values))
            channels += values
        return blocks, channels

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> list[Tensor]:
        """Return the input `[B, S, C]` of each block for the support sequence: all that a query can see of it."""
        self.require_own_way(way, "reads labels of")
        regression = self.spec.kind == "regression"
        labels = support_y if regression else F.one_hot(support_y, way).to(features.dtype)
        inputs = [torch.cat([self.embedding(features), labels], dim=-1)]
        for block in self.blocks[:-1]:
            inputs.append(block(inputs[-1]))
        return inputs

    def score(self, phi: list[Tensor], features: Tensor) -> Tensor:
        """Score each query as the token after the support, with label zero."""
        x = F.pad(self.embedding(features), (0, self.spec.way))
        for block, past in zip(self.blocks, phi, strict=True):
            x = block.last(x, past)
        return self.head(x)
