"""A learner to start from: `python -m bench new my/idea.py` writes it, its test, and a study beside three others."""

import argparse
import keyword
import re
from pathlib import Path

import algos

LEARNER = '''"""{title}: one sentence that says what it does.

Reference: none yet. Deviations: none.
"""

from dataclasses import dataclass

from torch import Tensor

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.prototypes import class_means, squared_distances


class {cls}(EmbeddingLearner):
    title, family, citation = "{title}", "metric-based", "this file"

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(32, "channels of each block")
        pull: float = hyper(0.5, "how far each class mean moves towards the mean of all classes, 0 to 1")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Support features [B, S, D] -> what is known of each class, [B, way, D]. Your idea goes here."""
        means = class_means(features, support_y, way)
        return means.lerp(means.mean(1, keepdim=True), self.params.pull)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        """Query features [B, Q, D] -> logits [B, Q, way]. And here."""
        return -squared_distances(features, phi)
'''
TEST = '''"""{title}: shapes, and whether it learns. Run `python -m pytest {test}` in the project's folder."""

import torch

import algos
from algos.base import TaskSpec
from tasks.episodes import Episodes

WAY, SHOT, QUERY = 5, 2, 4


def tasks(seed: int) -> Episodes:
    """Four tasks whose classes are coarse random pictures with a little noise."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(4, WAY, 1, 1, 7, 7, generator=draw)
    pictures = coarse.repeat_interleave(4, -1).repeat_interleave(4, -2)
    images = pictures + 0.1 * torch.randn(4, WAY, SHOT + QUERY, 1, 28, 28, generator=draw)
    support, query = (part.flatten(1, 2) for part in images.clamp(0, 1).split([SHOT, QUERY], dim=2))
    labels = (torch.arange(WAY).repeat_interleave(n).expand(4, -1) for n in (SHOT, QUERY))
    return Episodes(support, next(labels), query, next(labels), WAY)


def learner():
    """A small one, for images of 28x28."""
    torch.manual_seed(0)
    spec = TaskSpec("test", "classification", (1, 28, 28), WAY, SHOT)
    made = algos.load("{file}")
    return made(spec, made.resolve("{name}", spec, {{"hidden": 8}}))


def predictions(model, episodes):
    with model.testing():
        phi = model.adapt(episodes.support_x, episodes.support_y, WAY)
        return model.predict(phi, episodes.query_x)


def test_predictions_have_the_right_shape():
    assert predictions(learner(), tasks(0)).shape == (4, WAY * QUERY, WAY)


def test_it_learns():
    model = learner().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        model.outer_loss(tasks(step)).backward()
        optimizer.step()
    unseen = tasks(1_000)
    assert (predictions(model, unseen).argmax(-1) == unseen.query_y).float().mean() > 0.9
'''
STUDY = """study: {name}
datasets: {{glyphs: {{ways: [5], shots: [1]}}}}
algorithms: [{file}, protonet, maml, finetune]
seeds: [0, 1]
train: {{steps: 100, validate_every: 50, validation_episodes: 40}}
overrides: {{{name}: {{train_way: 20, meta_batch: 2}}, protonet: {{train_way: 20, hidden: 32}}, maml: {{meta_batch: 4, hidden: 32}}, supervised: {{steps: 100, hidden: 32}}}}
test: {{episodes: 100, query: 5, modes: [inductive]}}
shifts: {{episodes: 30, scopes: [task], severities: {{shear: [3], smear: [3]}}}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("file", type=Path, help="file to write, e.g. my/idea.py")


def main(args: argparse.Namespace) -> int:
    """Write the three files. ValueError: the name cannot be that of a learner, or a file is there."""
    file, name = args.file, args.file.stem
    check_name(file)
    test, study = file.with_name(f"test_{name}.py"), file.with_suffix(".yaml")
    there = [str(path) for path in (file, test, study) if path.exists()]
    if there:
        raise ValueError(f"{', '.join(there)} exists already: give another name, or remove it")
    words = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "cls": "".join(word.capitalize() for word in name.split("_")),
        "file": file.as_posix(),
        "test": test.as_posix(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, template in ((file, LEARNER), (test, TEST), (study, STUDY)):
        path.write_text(template.format(**words), encoding="utf-8")
    print(f"{file}: the learner, nearest class means to start from")
    print(f"{test}: python -m pytest {test}")
    print(f"{study}: snakemake --configfile {study}, then open reports/{name}/report.html")
    return 0


def check_name(file: Path) -> None:
    """ValueError unless the file can be that of a learner."""
    name = file.stem
    if file.suffix != ".py" or not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"{file}: give a file such as my/idea.py, with a name of small letters, digits and _"
        )
    if name in algos.discover() | algos.pretrainings():
        raise ValueError(f"{file}: {name} is an algorithm of the benchmark; give another name")
