"""Case `testing`: meta-test of 5-way 1-shot episodes with 15 queries per class."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from algos.base import MetaLearner
from algos.metric.protonet import ProtoNet
from algos.optimization.maml import MAML
from bench.protocol.evaluate import evaluate_images
from benchmarks import plain, synthetic
from benchmarks.timing import Comparison, Scale, local
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes

WAY, SHOT, QUERY = 5, 1, 15
ADAPTATIONS = {"conv4": 5, "conv4_stride": 3}
"""Inner steps at test by backbone."""


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    yield _protonet(scale, device)
    for form, steps in ADAPTATIONS.items():
        yield _maml(scale, device, form, steps)


def _protonet(scale: Scale, device: torch.device) -> Comparison:
    """Embed every image of every episode, or each distinct image once; running statistics make both answers equal."""
    split = synthetic.split(scale.test_classes, scale.per_class, device)
    check = synthetic.learner(ProtoNet, device, hidden=8).double()
    model = synthetic.learner(ProtoNet, device, hidden=scale.hidden)
    few, all_of_them = draw(split, 8), draw(split, scale.episodes)
    check_equal(lambda: one_by_one(check, few, split), lambda: ours(check, few, split))
    images = scale.test_classes * scale.per_class
    return Comparison(
        "testing",
        f"ProtoNet, {scale.episodes} episodes from {images} images",
        "episodes",
        [
            local("each episode embedded", len(few), lambda: one_by_one(model, few, split), device),
            local("ours: each image embedded once", scale.episodes, lambda: ours(model, all_of_them, split), device),
        ],
    )  # fmt: skip


def _maml(scale: Scale, device: torch.device, form: str, steps: int) -> Comparison:
    """Process one task at a time, with native layers and with ours, or a batch of tasks with ours."""
    split = synthetic.split(scale.test_classes, scale.per_class, device)
    check = synthetic.learner(MAML, device, backbone=form, hidden=8, test_steps=steps).double()
    model = synthetic.learner(MAML, device, backbone=form, hidden=scale.hidden, test_steps=steps)
    few, many = draw(split, min(scale.tasks, 4)), draw(split, 3 * scale.tasks)
    for way in (one_by_one, ours):
        check_equal(lambda: native_maml(check, few, split), lambda way=way: way(check, few, split))
    return Comparison(
        "testing",
        f"MAML {form}, {steps} steps",
        "episodes",
        [
            local("task by task, native layers", len(few), lambda: native_maml(model, few, split), device),
            local("task by task, our layers", len(few), lambda: one_by_one(model, few, split), device),
            local("ours: tasks in a batch", len(many), lambda: ours(model, many, split), device),
        ],
    )


def draw(split: ImageSplit, count: int) -> FrozenEpisodes:
    return FrozenEpisodes.draw(*split.images.shape[:2], count, WAY, SHOT, QUERY, "benchmarks")


def ours(model: MetaLearner, episodes: FrozenEpisodes, split: ImageSplit) -> np.ndarray:
    """Return the mean negative log-likelihood of each episode, float32 `[T]`, as `bench test` computes it."""
    return evaluate_images(model, episodes, split, split, model.paper_mode)["nll"]


def one_by_one(model: MetaLearner, episodes: FrozenEpisodes, split: ImageSplit) -> np.ndarray:
    """Return the same from the two verbs of the learner, episode by episode."""
    model.eval()
    values = []
    with torch.no_grad():
        for t in range(len(episodes)):
            one = episodes.batch(split, t, t + 1)
            logits = model.predict(model.adapt(one.support_x, one.support_y, one.way), one.query_x)
            values.append(model.loss(logits, one.query_y))
    return torch.stack(values).numpy(force=True)


def native_maml(model: MAML, episodes: FrozenEpisodes, split: ImageSplit) -> np.ndarray:
    """Return the same with torch's own layers."""
    weights, p, values = dict(model.net.named_parameters()), model.params, []
    dtype = model.net.head.weight.dtype
    for t in range(len(episodes)):
        one = episodes.batch(split, t, t + 1)
        support_x, query_x = one.support_x[0].to(dtype), one.query_x[0].to(dtype)
        adapted = plain.adapt(
            weights, support_x, one.support_y[0], p.backbone, p.test_steps, p.inner_rate, train=False
        )
        with torch.no_grad():
            values.append(F.cross_entropy(plain.network(adapted, query_x, p.backbone), one.query_y[0]))
    return torch.stack(values).numpy(force=True)


def check_equal(reference: Callable[[], np.ndarray], other: Callable[[], np.ndarray]) -> None:
    """Raise AssertionError unless both ways (with a float64 model) give each episode the same loss."""
    np.testing.assert_allclose(other(), reference(), rtol=1e-7)
