"""The straightforward code that ours is compared with: one task at a time, with torch's native layers.

Convolutions have no bias, which batch norm would cancel, so that results can be compared parameter by parameter. Common
code keeps the bias and does slightly more work than this baseline.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.episodes import Episodes

Weights = dict[str, Tensor]


def draw_episodes(
    images: Tensor, generator: torch.Generator, tasks: int, way: int, shot: int, query: int
) -> Episodes:
    """Draw episodes one at a time with randperm from resident uint8 images `[classes, per_class, C, H, W]`."""
    drawn = [_draw_episode(images, generator, way, shot, query) for _ in range(tasks)]
    return Episodes(*(torch.stack(column) for column in zip(*drawn, strict=True)), way)


def _draw_episode(
    images: Tensor, generator: torch.Generator, way: int, shot: int, query: int
) -> list[Tensor]:
    device = images.device
    support, queries = [], []
    for chosen in torch.randperm(len(images), generator=generator, device=device)[:way]:
        order = torch.randperm(images.shape[1], generator=generator, device=device)[: shot + query]
        pixels = images[chosen, order].float() / 255
        support.append(pixels[:shot])
        queries.append(pixels[shot:])
    episode = []
    for part, count in ((support, shot), (queries, query)):
        order = torch.randperm(way * count, generator=generator, device=device)
        labels = torch.arange(way, device=device).repeat_interleave(count)
        episode += [torch.cat(part)[order], labels[order]]
    return episode


def network(weights: Weights, x: Tensor, form: str) -> Tensor:
    """Conv4 and head of `algos.optimization.maml.Network` for one task: `[n, C, H, W]` -> `[n, way]`."""
    for block in range(4):
        w, gamma, beta = (weights[f"backbone.blocks.{block}.{name}"] for name in ("weight", "gamma", "beta"))
        x = F.conv2d(x, w, stride=2 if form == "conv4_stride" else 1, padding=1)
        x = F.relu(F.batch_norm(x, None, None, gamma, beta, training=True))
        x = F.max_pool2d(x, 2) if form == "conv4" else x
    features = x.mean((2, 3)) if form == "conv4_stride" else x.flatten(1)
    return F.linear(features, weights["head.weight"], weights["head.bias"])


def adapt(weights: Weights, x: Tensor, y: Tensor, form: str, steps: int, rate: float, train: bool) -> Weights:
    """MAML's inner loop for one task: x `[n, C, H, W]`, y `[n]`. train: keep the graph of every step."""
    weights = dict(weights)
    names = [name for name in weights if not name.endswith(("gamma", "beta"))]
    for _ in range(steps):
        if not train:
            weights |= {name: weights[name].detach().requires_grad_() for name in names}
        loss = F.cross_entropy(network(weights, x, form), y)
        gradients = torch.autograd.grad(loss, [weights[name] for name in names], create_graph=train)
        weights |= {name: weights[name] - rate * g for name, g in zip(names, gradients, strict=True)}
    return weights


def maml_backward(weights: Weights, episodes: Episodes, form: str, steps: int, rate: float) -> Tensor:
    """Add the meta-gradient to `.grad` of the weights, task by task; return the mean query loss `[]`."""
    total = 0.0
    for t in range(len(episodes)):
        adapted = adapt(weights, episodes.support_x[t], episodes.support_y[t], form, steps, rate, train=True)
        loss = F.cross_entropy(network(adapted, episodes.query_x[t], form), episodes.query_y[t])
        (loss / len(episodes)).backward()
        total += loss.detach() / len(episodes)
    return total


class ProtoNet(nn.Module):
    """Prototypical network made of torch's own modules, for one episode."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        blocks = [self._block(a, hidden) for a in (channels, hidden, hidden, hidden)]
        self.encoder = nn.Sequential(*blocks, nn.Flatten())

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))

    def copy_weights(self, blocks: nn.ModuleList) -> None:
        """Copy filters, scales and shifts from the blocks of our Conv4."""
        with torch.no_grad():
            for target, source in zip(self.encoder, blocks, strict=False):
                target[0].weight.copy_(source.weight)
                target[1].weight.copy_(source.gamma)
                target[1].bias.copy_(source.beta)

    def forward(self, episode: Episodes) -> Tensor:
        """Return the mean cross-entropy of the queries of the first episode, `[]`."""
        support_x, support_y = episode.support_x[0], episode.support_y[0]
        features = self.encoder(torch.cat([support_x, episode.query_x[0]]))
        support, query = features[: len(support_x)], features[len(support_x) :]
        means = torch.stack([support[support_y == k].mean(0) for k in range(episode.way)])
        logits = -(query[:, None] - means[None]).square().sum(-1)
        return F.cross_entropy(logits, episode.query_y[0])
