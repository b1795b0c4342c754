"""The loop of a meta-training: state, validation, checkpoint, record."""

import dataclasses
import math
import time
from functools import partial
from typing import Any

import pandas as pd
import safetensors.torch
import torch

import algos
from algos.base import MetaLearner, Params
from bench.protocol import checkpoint, machine
from bench.protocol.cuda_graph import Captured
from bench.protocol.fingerprint import code_files, fingerprint
from bench.protocol.flops import gflops
from bench.protocol.learner import published_tasks, resolved
from bench.protocol.optimizer import adam, load_state, set_rate
from bench.protocol.progress import Progress
from bench.protocol.signals import _Signals
from bench.results.episode_interval import episode_interval
from bench.results.files import atomic_write
from bench.results.metrics import main_metric
from bench.results.run_folder import RunResult, write_history, write_run
from bench.results.schema import DIVERGED, HISTORY_COLUMNS, OK, UNTRAINED
from bench.study.run import CHECKPOINT_SECONDS, Run
from bench.study.study import Study


class Stopped(Exception):
    """A signal asked the training to stop; the checkpoint is on disk."""


class MetaTraining:
    """State of one meta-training; `state` and `restore` are what makes a resumed run the same run."""

    def __init__(
        self, study: Study, run: Run, spec: dict, source: Any, learner: MetaLearner, device: torch.device
    ):
        self.run, self.spec, self.source, self.learner, self.device = run, spec, source, learner, device
        self.params, self.code = learner.params, study.code(run.algorithm)
        self.fingerprint = self._fingerprint()
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"value": math.nan, "step": None}
        self.best_weights = _copy(learner)
        self.reason: str | None = None
        self.pretraining: dict[str, Any] | None = None
        if learner.trainable:
            self._prepare(study.settings.seed)

    def _prepare(self, study_seed: int) -> None:
        # Ordinary tasks whatever `train_labels` says: the best checkpoint is the one that does best on new classes, so
        # what is lost by memorising labels is not the doing of a choice that rewards memory.
        run, episodes, query = self.run, self.spec["validation_episodes"], 5
        self.validation = self.source.frozen("val", episodes, run.way, run.shot, query, study_seed)
        self.control = self.source.frozen(
            "train", max(8, episodes // 4), run.way, run.shot, query, study_seed
        )
        self.sampler = self.source.sampler("meta-training", run.way, run.shot, self.code, run.seed)
        self.optimizer = adam(self.learner, self.device)
        self.update = partial(self.learner.meta_update, self.sampler, self.optimizer)
        if self.device.type == "cuda" and self.learner.capturable:
            self.update = Captured(self.learner, self.sampler, self.optimizer)
        self.loss_sum = torch.zeros((), device=self.device)
        state = checkpoint.load(run.folder, self.fingerprint, self.device)
        if state is not None:
            self.restore(state)
            print(f"{run.name}: going on from step {self.step}", flush=True)

    def _fingerprint(self) -> str:
        """Digest of settings, data and source files: a checkpoint is only good for the job that wrote it."""
        settings = {**self.spec, "minutes": None, "threads": None}
        resolved_settings = [settings, dataclasses.asdict(self.params)]
        return fingerprint(code_files("train", self.code), resolved_settings, self.source.digest)

    def take_over(self, pretraining: RunResult) -> None:
        """Instead of `loop`: the encoder of a shared pretraining. Its curve and its cost are this run's, too."""
        weights = safetensors.torch.load_file(pretraining.folder / "model.safetensors", str(self.device))
        encoder = {
            key.removeprefix("encoder."): w for key, w in weights.items() if key.startswith("encoder.")
        }
        self.learner.encoder.load_state_dict(encoder)
        self.best_weights = _copy(self.learner)
        self.pretraining, self.reason = pretraining.run, pretraining.run["reason"]
        self.history = pretraining.history().to_dict("records")

    def loop(self) -> None:
        """Meta-train until the budget is used up. Raises Stopped after SIGTERM or Ctrl-C, with a checkpoint saved."""
        budget = 60 * self.spec["minutes"] if self.spec["minutes"] else math.inf
        progress = Progress(self.run.name, self.params.steps)
        self.learner.train()
        saved = time.monotonic()
        with _Signals() as signals:
            while self.step < self.params.steps and self.seconds < budget and not self.reason:
                self._update()
                if self.step % self.spec["validate_every"] == 0 or self.step == self.params.steps:
                    self._validate()
                progress.show(self)
                if signals.received or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    checkpoint.save(self.run.folder, self.state())
                    saved = time.monotonic()
                if signals.received:
                    raise Stopped(f"stopped by {signals.received} after {self.step} steps, checkpoint saved")
            if not self.reason and (not self.history or self.history[-1]["step"] != self.step):
                self._validate()
        progress.end(self)

    def _update(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        set_rate(self.optimizer, learning_rate(self.params, self.step))
        self.loss_sum += self.update()
        self.step += 1
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu

    def _validate(self) -> None:
        """Score on frozen episodes, keep the best weights. The only place where the host waits for the device."""
        since = self.step - (self.history[-1]["step"] if self.history else 0)
        wall = time.perf_counter()
        loss = self.loss_sum.item() / since  # a GPU is behind by what `_update` has only handed to it
        self.seconds += time.perf_counter() - wall
        self.loss_sum.zero_()
        if not math.isfinite(loss):
            self.reason = f"the training loss became {loss} before step {self.step}"
            return
        scores = self._scores("val", self.validation)
        mean, half_width = episode_interval(scores)
        self.history.append(
            {
                "step": self.step,
                "tasks": self.step * self.params.meta_batch,
                "seconds": self.seconds,
                "loss": loss,
                "train_accuracy": float(self._scores("train", self.control).mean()),
                "val_accuracy": mean,
                "val_low": mean - half_width,
                "val_high": mean + half_width,
                "learning_rate": learning_rate(self.params, self.step - 1),
            }
        )
        better = mean < self.best["value"] if self.run.kind == "regression" else mean > self.best["value"]
        if better or self.best["step"] is None:
            self.best = {"value": mean, "step": self.step}
            self.best_weights = _copy(self.learner)

    def _scores(self, part: str, episodes: Any) -> Any:
        """Per-episode values of the run's metric on frozen episodes, in the mode of the paper."""
        scores = self.source.score(self.learner, part, episodes, self.learner.paper_mode)
        return scores[main_metric(self.run.kind)]

    def state(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "best_weights": self.best_weights,
            **{
                key: getattr(self, key)
                for key in ("step", "seconds", "cpu_seconds", "history", "best", "loss_sum")
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        load_state(self.optimizer, state["optimizer"])
        self.sampler.generator.set_state(state["sampler"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)
        for key in ("step", "seconds", "cpu_seconds", "history", "best", "best_weights"):
            setattr(self, key, state[key])
        self.loss_sum = state["loss_sum"].to(self.device)

    def write(self, started: str, idle_memory: float) -> None:
        """The run's declared outputs. idle_memory: MB that the process had taken before it read any data."""
        folder = self.run.folder
        weights = {name: tensor.contiguous() for name, tensor in self.best_weights.items()}
        atomic_write(folder / "model.safetensors", lambda part: safetensors.torch.save_file(weights, part))
        write_history(folder / "history.parquet", pd.DataFrame(self.history, columns=list(HISTORY_COLUMNS)))
        write_run(folder / "run.json", self.record(started, idle_memory))

    def record(self, started: str, idle_memory: float) -> dict[str, Any]:
        """The content of run.json."""
        run, learner = self.run, self.learner
        status = DIVERGED if self.reason else OK if learner.trainable or self.pretraining else UNTRAINED
        return {
            "status": status,
            "reason": self.reason,
            **dataclasses.asdict(run),
            "algorithm": algos.name_of(run.algorithm),
            "variant_of": None if self.code == run.algorithm else algos.name_of(self.code),
            **{key: getattr(learner, key) for key in ("title", "family", "citation", "paper_mode")},
            "task_kind": run.kind,
            "hyper_parameters": resolved(self.params, learner) | self._hyper_parameters_of_pretraining(),
            "training": self._cost(idle_memory),
            "data": {"digest": self.source.digest, "split": self.source.split_name},
            "provenance": machine.provenance(self.device, started) | {"precision": self.spec["precision"]},
        }

    def _hyper_parameters_of_pretraining(self) -> dict[str, Any]:
        pretraining = self.pretraining or {"algorithm": None, "hyper_parameters": {}}
        return {
            f"{pretraining['algorithm']}.{key}": value
            for key, value in pretraining["hyper_parameters"].items()
        }

    def _cost(self, idle_memory: float) -> dict[str, Any]:
        """What the training took; a learner that takes over a pretraining costs what the pretraining did."""
        parameters = sum(p.numel() for p in self.learner.parameters())
        if self.pretraining:
            return self.pretraining["training"] | {"parameters": parameters}
        tasks = self.step * getattr(self.params, "meta_batch", 0)
        published = published_tasks(self.learner, self.run.algorithm)
        return {
            "steps": self.step,
            "tasks": tasks,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "tasks_per_second": tasks / self.seconds if self.seconds else 0.0,
            "peak_memory_mb": machine.peak_memory_mb(self.device),
            "memory_at_start_mb": idle_memory,
            "gflops_per_task": self._gflops_per_task(),
            "parameters": parameters,
            "best_step": self.best["step"],
            "best_val_accuracy": self.best["value"] if self.best["step"] else None,
            "published_tasks": published,
            "budget_share": tasks / published if published else None,
        }

    def _gflops_per_task(self) -> float | None:
        """What one more meta-update costs. None where nothing was trained, or something broke.

        Counted when the training is over and its results are safe: counting may then change weights, random streams and
        the memory as it likes, a resumed run counts the same, and schedules of the first steps (MAML++) are behind it.
        """
        if not self.step or self.reason:
            return None
        update = gflops(lambda: self.learner.meta_update(self.sampler, self.optimizer))
        return update / self.params.meta_batch


def learning_rate(params: Params, step: int) -> float:
    """The outer rate at a step, by the declared schedule."""
    if params.schedule == "halve":
        return params.learning_rate * 0.5 ** (step // params.halve_every)
    if params.schedule == "linear":
        return params.learning_rate * (1 - step / params.steps)
    if params.schedule == "cosine":
        return params.learning_rate * 0.5 * (1 + math.cos(math.pi * step / params.steps))
    return params.learning_rate


def _copy(learner: MetaLearner) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in learner.state_dict().items()}
