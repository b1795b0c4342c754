"""Meta-training of one run, or of a pretraining that runs share.

Validates on frozen meta-validation episodes, keeps the best weights, and resumes exactly where it was stopped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import Tensor

from algos.base import MetaLearner
from algos.nets.layers import train_in
from bench.protocol import machine
from bench.protocol.learner import build_learner
from bench.protocol.meta_training import MetaTraining, weights_of
from bench.protocol.sources import open_source

if TYPE_CHECKING:
    from bench.protocol.progress import Progress
    from bench.protocol.source_type import Source
    from bench.study.jobs import TrainingJob
    from bench.study.run import Run

MODEL = "model.safetensors"


@dataclass
class Trained:
    """A trained learner. training: None where none took place here. weights: the model."""

    learner: MetaLearner
    source: "Source"
    weights: dict[str, Tensor]
    training: MetaTraining | None = None


def train(
    run: "Run",
    job: "TrainingJob",
    code: str,
    pretrained: Path | None = None,
    progress: "Progress | None" = None,
) -> Trained:
    """Train a run, or resume its training from a checkpoint of the same settings, data and code.

    code: digest of the files behind the training. pretrained: folder of the pretraining that it starts from.
    Raises Stopped after SIGTERM or Ctrl-C, with a checkpoint in the run's folder.
    """
    device = machine.set_up(job.device, job.threads, tf32=True)
    source = open_source(job.dataset, job.split, device)
    learner = build_learner(job, source).to(device)
    train_in(learner, getattr(torch, job.precision))
    run.folder.mkdir(parents=True, exist_ok=True)
    if pretrained:
        take_over(learner, pretrained / MODEL)
    if pretrained or not learner.trainable:
        return Trained(learner, source, weights_of(learner))
    training = MetaTraining(job, run.name, run.folder, source, learner, code)
    training.resume()
    training.train(progress)
    return Trained(learner, source, training.best_weights, training)


def take_over(learner: MetaLearner, model: Path) -> None:
    """Load the encoder of a pretraining's model."""
    weights, prefix = safetensors.torch.load_file(model), "encoder."
    encoder = {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}
    learner.encoder.load_state_dict(encoder)
