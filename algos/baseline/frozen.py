"""A frozen pretrained network: no meta-training at all.

The features of a given network, with weights from a file or its own, are classified by a simple head that is fitted to the support
set: nearest class mean, cosine to the class mean, logistic regression, or the fine-tuned linear classifier of
`finetune`. It asks what meta-training adds to features that are there already (docs/pretrained.md).

Tian, Wang, Krishnan, Tenenbaum, Isola: Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?
ECCV 2020.

Deviations from the paper:
1. The network and its weights are the user's; the paper trains a ResNet-12 on the meta-training classes.
2. Logistic regression is fitted to features of unit length without an intercept, with an L2 penalty of 1 / 2 |W|^2
   beside the summed cross-entropy (scikit-learn's C = 1).
3. Scores of the cosine head are 10 times the cosine.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, HyperParameters, TaskSpec, hyper
from algos.baseline.finetune import Finetune, fine_tune
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.layers import Statistics
from algos.nets.prototypes import class_means, squared_distances
from algos.nets.weights import load_weights

INPUTS = {
    "rgb": ((0.0,) * 3, (1.0,) * 3),
    "half": ((0.5,) * 3, (0.5,) * 3),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and standard deviation of each colour, in [0, 1] units."""
SMALLEST = 8  # side of an image in pixels
PIXELS = 4_000_000  # that pass the network at once
SCALE = 10.0  # of cosines
ITERATIONS = 300  # of logistic regression; enough for seven digits (tests/test_frozen.py)


class Prepared(nn.Module):
    """A network behind its own form of input: side, colours and normalisation. `[B, n, C, H, W]` -> `[B, n, features]`."""

    def __init__(self, spec: TaskSpec, params: "Frozen.Params"):
        super().__init__()
        channels, side, _ = spec.input_shape
        if params.size and params.size < SMALLEST:
            raise ValueError(f"hyper-parameter size: {params.size} must be at least {SMALLEST} pixels, or 0")
        self.side, self.colours = params.size or side, channels
        mean, std = spec.mean, spec.std
        if params.inputs != "data":
            self.colours, (mean, std) = 3, INPUTS[params.inputs]
        own = replace(spec, input_shape=(self.colours, self.side, self.side), mean=mean, std=std)
        self.inside = build_backbone(params.backbone, params.hidden, own)
        if params.weights:
            load_weights(getattr(self.inside, "network", self.inside), params.weights)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        if self.colours == 3 and x.shape[2] == 1:
            x = x.expand(-1, -1, 3, -1, -1)
        parts = x.flatten(0, 1).split(max(1, PIXELS // self.side**2))
        features = [self.inside(self._sized(part).unsqueeze(0), Statistics.running())[0] for part in parts]
        return torch.cat(features).unflatten(0, x.shape[:2])

    def _sized(self, images: Tensor) -> Tensor:
        size = (self.side, self.side)
        if images.shape[2:] == size:
            return images
        return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def logistic_regression(features: Tensor, target: Tensor) -> Tensor:
    """Weights `[B, D, K]` that minimise |W|^2 / 2 + summed cross-entropy: unit features `[B, S, D]`, one-hot `[B, S, K]`.

    Accelerated gradient descent on the coefficients A `[B, S, K]` of W = X'A. The curvature lies between 1 and 1 + the largest
    eigenvalue of XX' / 2, so the momentum is constant (Nesterov).
    """
    gram = features @ features.transpose(1, 2)
    steepest = 1 + torch.linalg.eigvalsh(gram)[:, -1].view(-1, 1, 1) / 2
    momentum = (steepest.sqrt() - 1) / (steepest.sqrt() + 1)
    ahead = before = torch.zeros_like(target)
    for _ in range(ITERATIONS):
        now = ahead - (ahead + (gram @ ahead).softmax(-1) - target) / steepest
        ahead, before = now + momentum * (now - before), now
    return features.transpose(1, 2) @ before


class Frozen(EmbeddingLearner):
    title = "Frozen network"
    family = "baseline"
    citation = "Tian et al. 2020"
    trainable = False
    modes = ("inductive",)

    @dataclass(frozen=True)
    class Params(HyperParameters):
        backbone: str = hyper("conv4", "network", BACKBONES)
        hidden: int = hyper(64, "channels of each block of a built-in network")
        weights: str = hyper("", "file of weights (safetensors, or a state dict); empty = as it is built")
        size: int = hyper(0, "side of the network's input in pixels; 0 = as the images are")
        inputs: str = hyper("data", "colours: as in the data, or 3 normalised so", ("data", *INPUTS))
        head: str = hyper("mean", "classifier", ("mean", "cosine", "logistic", "finetune"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = Prepared(spec, params).requires_grad_(False)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return class means `[B, way, D]` (mean), or weights `[B, D, way]`; of `finetune` with the bias last."""
        target = F.one_hot(support_y, way).to(features.dtype)
        match self.params.head:
            case "mean":
                return class_means(features, support_y, way)
            case "cosine":
                means = class_means(F.normalize(features, dim=-1), support_y, way)
                return SCALE * F.normalize(means, dim=-1).transpose(1, 2)
            case "logistic":
                return logistic_regression(F.normalize(features, dim=-1), target)
        inputs, settings = Finetune._with_bias(features), Finetune.Params()
        start = inputs.new_zeros(len(inputs), inputs.shape[2], way)
        steps = settings.epochs * -(-inputs.shape[1] // settings.batch)
        return fine_tune((start,), Finetune._gradient, inputs, target, settings, steps)[0]

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        if self.params.head == "mean":
            return -squared_distances(features, phi)
        if self.params.head == "finetune":
            return Finetune._with_bias(features) @ phi
        return F.normalize(features, dim=-1) @ phi
