"""A run's learner: its class, hyper-parameters and initial weights."""

import dataclasses
from typing import Any

import torch

import algos
from algos.base import MetaLearner
from bench.study.run import Pretraining, Run
from bench.study.study import Study, run_spec
from tasks.seeds import seed_from


def build_learner(study: Study, run: Run, source: Any) -> MetaLearner:
    """The run's learner with its own initialisation stream, on the CPU."""
    learner_class = _class_of(study, run)
    spec = source.spec(run.way, run.shot)
    if isinstance(run, Pretraining):
        spec = dataclasses.replace(spec, way=training_classes(source))
    params = learner_class.resolve(run.algorithm, spec, run_spec(study, run)["overrides"])
    code = study.code(run.algorithm)  # a variant starts where its algorithm does, and sees the same tasks
    torch.manual_seed(seed_from("initialisation", run.dataset, run.way, run.shot, code, run.seed))
    learner = learner_class(spec, params)
    learner.title = study.title_of(run.algorithm)
    if learner.pretraining:
        learner.take_encoder(build_learner(study, study.pretraining(run), source))
    return learner


def _class_of(study: Study, run: Run) -> type[MetaLearner]:
    if isinstance(run, Pretraining):
        return algos.load_pretraining(run.algorithm)
    return algos.load(study.code(run.algorithm))


def training_classes(source: Any) -> int:
    """Classes of the meta-training part, rotated copies included; known without loading an image."""
    meta = source.data.meta
    return len(meta["splits"][source.split_name]["train"]) * meta["rotations"]


def published_tasks(learner: MetaLearner, algorithm: str) -> int | None:
    """Training tasks of the published run, where a preset gives its length for this data set."""
    if not any(
        "steps" in preset for key, preset in learner.presets.items() if learner.spec.dataset in key.split()
    ):
        return None
    params = learner.resolve(algorithm, learner.spec)
    return params.steps * params.meta_batch


def resolved(params: Any, learner: MetaLearner) -> dict[str, Any]:
    """Hyper-parameters as used: where training follows the test task, its way and shot stand there."""
    values = dataclasses.asdict(params)
    if "train_way" in values:
        values["train_way"] = values["train_way"] or learner.spec.way
        values["train_shot"] = values["train_shot"] or learner.spec.shot
    return values
