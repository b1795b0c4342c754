"""CAML, context-aware meta-learning: few-shot classification as sequence modelling, without any update of a weight.

The support images with their labels and a query with an unknown label are the tokens of one set. A transformer reads
the set at once and predicts the class at the token of the query, so learning is a forward pass. Labels are the corners
of a regular simplex (ELMES): equally long and equally far apart, so that no class is special.

Fifty, Duan, Junkins, Amid, Leskovec, Re, Thrun: Context-Aware Meta-Learning. ICLR 2024. Earlier forms of the idea:
Garnelo et al., Conditional Neural Processes, ICML 2018; Kirsch et al., General-Purpose In-Context Learning, 2022.

Deviations from the paper:
1. The support does not attend to the query, so its activations are the same for all queries of a task and are computed
   once (as in Mueller et al., Transformers Can Do Bayesian Inference, ICLR 2022). In the paper every query is part of
   the set.
2. The encoder is trained with the transformer on the meta-training classes. In the paper it is a frozen CLIP network.
3. The transformer has 4 blocks, to match the encoder and the data; the paper uses ViT-Large.
4. Label codes have the length of an image embedding. The first block starts as a soft nearest neighbour, and later
   blocks add nothing at first. With PyTorch's initialisation, which suits the paper's pretrained encoder, training
   stays at chance for thousands of updates.
5. Regression (not in the paper): the label of a token is its target, and the label of a query is a learned number.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.transformer import Memory, SetBlock


def simplex(way: int) -> Tensor:
    """Equal-length, maximally equiangular vectors `[way, way]` (theorem 1): unit length, every inner product -1 / (way - 1)."""
    return (torch.eye(way) - 1 / way) * (way / max(way - 1, 1)) ** 0.5


class CAML(EmbeddingLearner):
    title = "CAML (in context)"
    family = "model-based"
    citation = "Fifty et al. 2024"
    capturable = True
    tasks = ("classification", "regression")
    any_way = False
    presets = {
        "omniglot": dict(backbone="conv4", hidden=64, embedding=128, width=256, heads=8),
        "miniimagenet": dict(backbone="resnet12", hidden=64, embedding=256, width=384, heads=8),
        "sinusoid": dict(backbone="mlp", hidden=64, embedding=32, width=64, meta_batch=32, train_query=20),
        "polynomial": dict(backbone="mlp", hidden=64, embedding=32, width=64, meta_batch=32, train_query=20),
    }

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "embedding of each input", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        embedding: int = hyper(64, "numbers of a token that describe its input")
        width: int = hyper(128, "numbers of a token in the transformer; a multiple of heads")
        heads: int = hyper(4, "attention heads of each block")
        blocks: int = hyper(4, "blocks of the transformer")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.embedding = nn.Sequential(
            nn.Linear(self.encoder.features, params.embedding), nn.LayerNorm(params.embedding)
        )
        self.register_buffer("codes", simplex(spec.way) * params.embedding**0.5)
        self.unknown = nn.Parameter(torch.zeros(spec.way))
        self.token = nn.Linear(params.embedding + spec.way, params.width)
        self.blocks = nn.ModuleList(SetBlock(params.width, params.heads) for _ in range(params.blocks))
        for i, block in enumerate(self.blocks):
            block.start_as_kernel(reads=i == 0)
        self.head = nn.Sequential(nn.LayerNorm(params.width), nn.Linear(params.width, spec.way))

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> list[Memory]:
        """Return the keys and values of the support set in each block, which queries attend to."""
        self.require_own_way(way, "reads labels of")
        labels = support_y if self.spec.kind == "regression" else F.embedding(support_y, self.codes)
        x, memory = self._tokens(features, labels), []
        for block in self.blocks:
            x, seen = block(x)
            memory.append(seen)
        return memory

    def score(self, phi: list[Memory], features: Tensor) -> Tensor:
        """Score each query as one more token of the set, with the label unknown."""
        x = self._tokens(features, self.unknown.expand(*features.shape[:2], -1))
        for block, memory in zip(self.blocks, phi, strict=True):
            x = block.ask(x, memory)
        return self.head(x)

    def _tokens(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features `[B, n, D]` and labels `[B, n, way]` -> tokens `[B, n, width]`."""
        return self.token(torch.cat([self.embedding(features), labels.to(features.dtype)], dim=-1))
