"""Lake's 20 within-alphabet 20-way one-shot runs, on which people were tested, too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from algos.base import MetaLearner
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.evaluate import evaluate_images
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks import lake_runs
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes
from tasks.facts import LAKE_DATA

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "boolean",
    "default": False,
    "description": "Lake's 20 one-shot runs (Omniglot, split lake)",
}
TITLES = {"lake": "Lake's 20 runs (20-way)"}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score on the 20 runs; learners whose head has another number of classes are left out."""
    if (source.name, source.split_name) != LAKE_DATA or not (learner.any_way or frozen.way == 20):
        return
    mode = reported_mode(learner, job)
    episodes, split = lake_episodes(source.part("test"))
    condition = Condition(episodes.way, episodes.shot, mode, test_tasks="lake")
    yield condition, episodes.digest, evaluate_images(learner, episodes, split, split, mode)


def lake_episodes(part: ImageSplit) -> tuple[FrozenEpisodes, ImageSplit]:
    """Return the 20 runs as frozen episodes, and the split that holds their drawings."""
    runs = lake_runs.lake_runs()
    drawings = np.concatenate([runs.train, runs.test], axis=1)  # a "class" of 40 drawings for each run
    images = torch.from_numpy(drawings).unsqueeze(2).to(part.images.device)
    count, items = runs.labels.shape
    first = 2 * items * np.arange(count)[:, None]
    support_y = np.tile(np.arange(items), (count, 1))
    episodes = FrozenEpisodes(
        first + np.arange(items), support_y, first + items + np.arange(items), runs.labels, items, 1
    )
    return episodes, ImageSplit(images, part.data, "lake", [], 1)
