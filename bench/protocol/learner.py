"""A run's learner: its class, hyper-parameters and initial weights."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

import algos
from algos.base import MetaLearner
from tasks.seeds import seed_from

if TYPE_CHECKING:
    from bench.protocol.source_type import Source
    from bench.study.jobs import TrainingJob


def build_learner(job: "TrainingJob", source: "Source") -> MetaLearner:
    """Return the job's learner with its own initialisation stream, on the CPU.

    A variant starts from the weights of its algorithm, and a learner with a pretraining has that one's encoder.
    """
    shared = job.code in algos.pretrainings()
    learner_class = algos.load_pretraining(job.code) if shared else algos.load(job.code)
    spec = source.spec(job.way, job.shot)
    if shared:
        spec = replace(spec, way=source.training_classes)
    params = learner_class.resolve(job.algorithm, spec, job.overrides)
    torch.manual_seed(seed_from("initialisation", job.dataset, job.way, job.shot, job.code, job.seed))
    learner = learner_class(spec, params)
    if job.pretraining:
        learner.take_encoder(build_learner(job.pretraining, source))
    return learner
