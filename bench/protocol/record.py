"""What a training leaves in its run's folder: the model, the learning curve, and the record of settings and cost.

Nothing here can change a model, so no training is repeated when it is edited.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import safetensors.torch
from torch import Tensor

import algos
from algos.base import MetaLearner, TaskSpec
from bench.protocol.flops import gflops
from bench.protocol.machine import choose
from bench.protocol.memory import peak_memory_mb
from bench.protocol.meta_training import MetaTraining
from bench.protocol.provenance import now, provenance
from bench.protocol.source_type import Source
from bench.protocol.train import MODEL, Trained
from bench.results.digests import digest_of, file_digest
from bench.results.files import atomic_write
from bench.results.frames import write_history
from bench.results.run_folder import RunResult, write_run
from bench.results.schema import DIVERGED, HISTORY, HISTORY_COLUMNS, OK, UNTRAINED
from bench.study.jobs import TrainingJob
from bench.study.run import Run


class Start(NamedTuple):
    """Time at the start of a job, peak memory in MB before any data are read, and digest of the code that is run."""

    time: str
    memory_mb: float
    code: str


def start_of(job: TrainingJob, code: str) -> Start:
    """Return what only the start of a job can tell."""
    return Start(now(), peak_memory_mb(choose(job.device)), code)


def write(
    run: Run, job: TrainingJob, title: str, trained: Trained, pretraining: RunResult | None, start: Start
) -> None:
    """Write the run's declared outputs. title: of the learner in the report."""
    if pretraining:
        history = pretraining.history()
    else:
        rows = trained.training.history if trained.training else []
        history = pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))
    write_model(run.folder / MODEL, trained.weights)
    write_history(run.folder / HISTORY, history)
    write_run(run.folder / "run.json", record(run, job, title, trained, pretraining, start))


def write_model(path: Path, weights: dict[str, Tensor]) -> None:
    """Write weights as safetensors."""
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    atomic_write(path, lambda part: safetensors.torch.save_file(contiguous, part))


def record(
    run: Run, job: TrainingJob, title: str, trained: Trained, pretraining: RunResult | None, start: Start
) -> dict[str, Any]:
    """Return the content of run.json. The model and the learning curve have been written: their digests are part of it."""
    learner, source = trained.learner, trained.source
    reason = pretraining.run["reason"] if pretraining else _reason(trained)
    ended = OK if trained.training or pretraining else UNTRAINED
    return {
        "status": DIVERGED if reason else ended,
        "reason": reason,
        **dataclasses.asdict(run),
        "algorithm": algos.name_of(run.algorithm),
        "variant_of": None if job.code == run.algorithm else algos.name_of(job.code),
        "code": job.code,
        "title": title,
        **{key: getattr(learner, key) for key in ("family", "citation", "paper_mode")},
        "task_kind": run.kind,
        "hyper_parameters": resolved(learner) | _of_pretraining(pretraining),
        "training": cost(run.algorithm, trained, pretraining, start.memory_mb),
        "data": {"digest": source.digest, "split": source.split_name, "input": form(source, learner.spec)},
        "made_from": {
            "settings": digest_of(job.as_dict()),
            "code": start.code,
            "pretraining": pretraining.run.get("files", {}).get(MODEL) if pretraining else None,
        },
        "files": {name: file_digest(run.folder / name) for name in (MODEL, HISTORY)},
        "provenance": provenance(source.device, start.time) | {"precision": job.precision},
    }


def form(source: Source, spec: TaskSpec) -> dict[str, Any]:
    """Return what a program must know to give the learner inputs: their shape, kind and statistics."""
    data = getattr(source, "data", None)
    imagery = data.meta["imagery"] if data else None
    return {"shape": spec.input_shape, "mean": spec.mean, "std": spec.std, "imagery": imagery}


def resolved(learner: MetaLearner) -> dict[str, Any]:
    """Return the hyper-parameters as used: way and shot of training tasks that follow the test task are filled in."""
    values = dataclasses.asdict(learner.params)
    if "train_way" in values:
        values["train_way"] = values["train_way"] or learner.spec.way
        values["train_shot"] = values["train_shot"] or learner.spec.shot
    return values


def _of_pretraining(pretraining: RunResult | None) -> dict[str, Any]:
    if pretraining is None:
        return {}
    values = pretraining.run["hyper_parameters"]
    return {f"{pretraining.run['algorithm']}.{key}": value for key, value in values.items()}


def cost(
    algorithm: str, trained: Trained, pretraining: RunResult | None, idle_memory: float
) -> dict[str, Any]:
    """Return what the training took; a learner that takes over a pretraining costs what the pretraining did.

    idle_memory: peak in MB before any data were read.
    """
    parameters = sum(p.numel() for p in trained.learner.parameters())
    if pretraining:
        return pretraining.run["training"] | {"parameters": parameters}
    training = trained.training
    steps, seconds, cpu = (
        (training.step, training.seconds, training.cpu_seconds) if training else (0, 0.0, 0.0)
    )
    tasks = steps * getattr(trained.learner.params, "meta_batch", 0)
    published = published_tasks(trained.learner, algorithm)
    return {
        "steps": steps,
        "tasks": tasks,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "tasks_per_second": tasks / seconds if seconds else 0.0,
        "peak_memory_mb": peak_memory_mb(trained.source.device),
        "memory_at_start_mb": idle_memory,
        "gflops_per_task": gflops_per_task(training) if training else None,
        "parameters": parameters,
        "best_step": training.best["step"] if training else None,
        "best_val_score": training.best["value"] if training and training.best["step"] else None,
        "published_tasks": published,
        "budget_share": tasks / published if published else None,
    }


def published_tasks(learner: MetaLearner, algorithm: str) -> int | None:
    """Return the training tasks of the published run, where its paper or code states them for this data set."""
    if learner.spec.dataset not in learner.stated:
        return None
    params = learner.resolve(algorithm, learner.spec)
    return params.steps * params.meta_batch


def gflops_per_task(training: MetaTraining) -> float | None:
    """Return the cost of one more meta-update per task; None where nothing was trained, or the training diverged.

    Counted when the training is over and the model is on the disk: counting may then change weights, random streams and
    memory, a resumed run counts the same, and schedules of the first steps (MAML++) have ended.
    """
    if not training.step or training.reason:
        return None
    update = gflops(lambda: training.learner.meta_update(training.sampler, training.optimizer))
    return update / training.params.meta_batch


def _reason(trained: Trained) -> str | None:
    return trained.training.reason if trained.training else None
