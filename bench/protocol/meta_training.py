"""Meta-training of a learner: the update is the learner's own, the best weights on validation tasks are the model."""

import dataclasses
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from algos.base import MetaLearner
from bench.protocol import checkpoint
from bench.protocol.cuda_graph import Captured
from bench.protocol.loop import Loop
from bench.protocol.optimizer import build_optimizer, learning_rate, set_rate
from bench.results.episode_interval import episode_interval

if TYPE_CHECKING:
    from bench.protocol.progress import Progress
    from bench.protocol.source_type import Source
    from bench.study.jobs import TrainingJob

VALIDATION_QUERY = 5
"""Query examples per class in validation tasks."""


class MetaTraining(Loop):
    """A meta-training and its best weights so far. code: digest of the files behind it."""

    KEPT = (*Loop.KEPT, "best", "best_weights")

    def __init__(
        self, job: "TrainingJob", name: str, folder: Path, source: "Source", learner: MetaLearner, code: str
    ):
        self.job, self.source, self.params = job, source, learner.params
        self.sampler = source.sampler("meta-training", job.way, job.shot, job.code, job.seed)
        optimizer = build_optimizer(learner, source.device)
        super().__init__(name, folder, learner, optimizer, self.sampler.generator, job.validate_every)
        self.best: dict[str, Any] = {"value": math.nan, "step": None}
        self.best_weights = weights_of(learner)
        self._frozen_tasks()
        self.meta_update = partial(learner.meta_update, self.sampler, optimizer)
        own = ".py:" in getattr(self.params, "backbone", "")  # own networks may wait for values
        alike = learner.capturable and not own and isinstance(optimizer, torch.optim.Adam)
        if source.device.type == "cuda" and alike:
            self.meta_update = Captured(learner, self.sampler, optimizer)
        settings = [{**job.as_dict(), "minutes": None, "threads": None}, dataclasses.asdict(self.params)]
        self.fingerprint = checkpoint.fingerprint(settings, source.digest, code)

    def _frozen_tasks(self) -> None:
        # Ordinary tasks whatever `train_labels` says: the best checkpoint is the one that does best on new classes.
        # A loss by memorised labels is then not caused by a choice that rewards memory.
        job, episodes = self.job, self.job.validation_episodes
        rest = (job.way, job.shot, VALIDATION_QUERY, job.study_seed)
        self.validation = self.source.frozen("val", episodes, *rest)
        self.control = self.source.frozen("train", max(8, episodes // 4), *rest)

    def train(self, progress: "Progress | None" = None) -> None:
        """Meta-train until the job's budget is used up."""
        self.loop(self.params.steps, self.job.minutes, progress)

    def update(self) -> Tensor:
        """Take the learner's own step, at the outer rate of its schedule."""
        set_rate(self.optimizer, learning_rate(self.params, self.step))
        return self.meta_update()

    def validate(self, loss: float) -> dict[str, float]:
        """Score on frozen episodes and keep the best weights."""
        scores = self._scores("val", self.validation)
        mean, half_width = episode_interval(scores)
        row = {
            "step": self.step,
            "tasks": self.step * self.params.meta_batch,
            "seconds": self.seconds,
            "loss": loss,
            "train_score": float(self._scores("train", self.control).mean()),
            "val_score": mean,
            "val_low": mean - half_width,
            "val_high": mean + half_width,
            "learning_rate": learning_rate(self.params, self.step - 1),
        }
        better = self.source.sign * mean > self.source.sign * self.best["value"]
        if better or (self.best["step"] is None and math.isfinite(mean)):
            self.best = {"value": mean, "step": self.step}
            self.best_weights = weights_of(self.learner)
        return row

    def _scores(self, part: str, episodes: Any) -> Any:
        """Return the main metric of each frozen episode, in the mode of the paper."""
        return self.source.score(self.learner, part, episodes, self.learner.paper_mode)[self.source.metric]


def weights_of(learner: MetaLearner) -> dict[str, torch.Tensor]:
    """Return a copy of the learner's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in learner.state_dict().items()}
