"""Meta-training of one run: `python -m bench train config/quick.yaml glyphs/5way_1shot/protonet/seed0`.

Also of a stage that several runs share (`glyphs/supervised/seed0`); those runs then take its encoder over. Validates on frozen meta-validation episodes, keeps the best checkpoint, and resumes exactly where it was stopped.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import signal
import sys
import time
from functools import partial
from typing import Any

import pandas as pd
import safetensors.torch
import torch

import algos
from algos.base import MetaLearner, Params
from algos.nets.layers import train_in
from bench import capture, checkpoint, devices, results
from bench.flops import gflops
from bench.sources import open_source
from bench.stats import episode_interval
from bench.study import Run, Stage, Study, load_study, run_spec
from tasks.seeds import seed_from

CHECKPOINT_SECONDS = 30.0


class Stopped(Exception):
    """A signal asked the training to stop; the checkpoint is on disk."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    run = study.run(args.run)
    try:
        train(study, run)
    except Stopped as stopped:
        print(f"{run.name}: {stopped}; the same command goes on from there", file=sys.stderr, flush=True)
        return 130
    return 0


def build_learner(study: Study, run: Run, source: Any) -> MetaLearner:
    """The run's learner with its own initialisation stream, on the CPU."""
    learner_class = study.learners[run.algorithm]
    spec = source.spec(run.way, run.shot)
    if isinstance(run, Stage):
        spec = dataclasses.replace(spec, way=training_classes(source))
    params = learner_class.resolve(run.algorithm, spec, run_spec(study, run)["overrides"])
    code = study.code(run.algorithm)  # a variant starts where its algorithm does, and sees the same tasks
    torch.manual_seed(seed_from("initialisation", run.dataset, run.way, run.shot, code, run.seed))
    learner = learner_class(spec, params)
    learner.title = study.title_of(run.algorithm)
    if learner.stage:
        learner.encoder = build_learner(study, study.stage(run), source).encoder
    return learner


def training_classes(source: Any) -> int:
    """Classes of the meta-training part, rotated copies included; known without loading an image."""
    meta = source.data.meta
    return len(meta["splits"][source.split_name]["train"]) * meta["rotations"]


def train(study: Study, run: Run) -> None:
    """Train (or go on training) a run and write model.safetensors, history.parquet and run.json to its folder."""
    started = devices.now()
    spec = run_spec(study, run)
    device = devices.set_up(spec["device"], spec["threads"])
    idle_memory = devices.peak_memory_mb(device)
    source = open_source(run.dataset, spec["split"], device)
    learner = build_learner(study, run, source).to(device)
    train_in(learner, getattr(torch, spec["precision"]))
    run.folder.mkdir(parents=True, exist_ok=True)
    training = MetaTraining(study, run, spec, source, learner, device)
    if learner.stage:
        training.take_over(finished_stage(study, run))
    elif learner.trainable:
        training.loop()
    training.write(started, idle_memory)
    checkpoint.remove(run.folder)


def finished_stage(study: Study, run: Run) -> results.RunResult:
    """What the run's stage has learned. FileNotFoundError says how to train it."""
    stage = study.stage(run)
    result = results.read_run(stage.folder)
    if result.run is None:
        raise FileNotFoundError(
            f"{stage.folder} has no trained model, and {run.name} starts from it: "
            f"run `python -m bench train {study.origin} {stage.name}`"
        )
    return result


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
        self.stage: dict[str, Any] | None = None
        if learner.trainable:
            self._prepare(study.config["seed"])

    def _prepare(self, study_seed: int) -> None:
        # Ordinary tasks whatever `train_labels` says: the best checkpoint is the one that does best on new classes, so
        # what is lost by memorising labels is not the doing of a choice that rewards memory.
        run, episodes, query = self.run, self.spec["validation_episodes"], 5
        self.validation = self.source.frozen("val", episodes, run.way, run.shot, query, study_seed)
        self.control = self.source.frozen(
            "train", max(8, episodes // 4), run.way, run.shot, query, study_seed
        )
        self.sampler = self.source.sampler("meta-training", run.way, run.shot, self.code, run.seed)
        self.optimizer = capture.adam(self.learner, self.device)
        self.update = partial(self.learner.meta_update, self.sampler, self.optimizer)
        if self.device.type == "cuda" and self.learner.capturable:
            self.update = capture.Captured(self.learner, self.sampler, self.optimizer)
        self.loss_sum = torch.zeros((), device=self.device)
        state = checkpoint.load(run.folder, self.fingerprint, self.device)
        if state is not None:
            self.restore(state)
            print(f"{run.name}: going on from step {self.step}", flush=True)

    def _fingerprint(self) -> str:
        """Digest of settings, data and source files: a checkpoint is only good for the job that wrote it."""
        settings = {**self.spec, "minutes": None, "threads": None}
        code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in algos.sources(self.code)]
        text = json.dumps(
            [settings, dataclasses.asdict(self.params), self.source.digest, code], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def take_over(self, stage: results.RunResult) -> None:
        """Instead of `loop`: the encoder of a shared stage. Its curve and its cost are this run's, too."""
        weights = safetensors.torch.load_file(stage.folder / "model.safetensors", str(self.device))
        encoder = {
            key.removeprefix("encoder."): w for key, w in weights.items() if key.startswith("encoder.")
        }
        self.learner.encoder.load_state_dict(encoder)
        self.best_weights = _copy(self.learner)
        self.stage, self.reason = stage.run, stage.run["reason"]
        self.history = stage.history().to_dict("records")

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
        capture.set_rate(self.optimizer, learning_rate(self.params, self.step))
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
        return scores[results.METRICS[self.run.kind]]

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
        capture.load_state(self.optimizer, state["optimizer"])
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
        results.atomic_write(
            folder / "model.safetensors", lambda part: safetensors.torch.save_file(weights, part)
        )
        results.write_history(
            folder / "history.parquet", pd.DataFrame(self.history, columns=list(results.HISTORY_COLUMNS))
        )
        results.write_run(folder / "run.json", self.record(started, idle_memory))

    def record(self, started: str, idle_memory: float) -> dict[str, Any]:
        """The content of run.json."""
        run, learner = self.run, self.learner
        status = "diverged" if self.reason else "ok" if learner.trainable or self.stage else "untrained"
        return {
            "status": status,
            "reason": self.reason,
            **dataclasses.asdict(run),
            "algorithm": algos.name_of(run.algorithm),
            "variant_of": None if self.code == run.algorithm else algos.name_of(self.code),
            **{key: getattr(learner, key) for key in ("title", "family", "citation", "paper_mode")},
            "task_kind": run.kind,
            "hyper_parameters": resolved(self.params, learner) | self._hyper_parameters_of_stage(),
            "training": self._cost(idle_memory),
            "data": {"digest": self.source.digest, "split": self.source.split_name},
            "provenance": devices.provenance(self.device, started) | {"precision": self.spec["precision"]},
        }

    def _hyper_parameters_of_stage(self) -> dict[str, Any]:
        stage = self.stage or {"algorithm": None, "hyper_parameters": {}}
        return {f"{stage['algorithm']}.{key}": value for key, value in stage["hyper_parameters"].items()}

    def _cost(self, idle_memory: float) -> dict[str, Any]:
        """What the training took; a learner that took over a stage cost what the stage did."""
        parameters = sum(p.numel() for p in self.learner.parameters())
        if self.stage:
            return self.stage["training"] | {"parameters": parameters}
        tasks = self.step * getattr(self.params, "meta_batch", 0)
        published = published_tasks(self.learner, self.run.algorithm)
        return {
            "steps": self.step,
            "tasks": tasks,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "tasks_per_second": tasks / self.seconds if self.seconds else 0.0,
            "peak_memory_mb": devices.peak_memory_mb(self.device),
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


def _copy(learner: MetaLearner) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in learner.state_dict().items()}


class _Signals:
    """Turns SIGTERM and Ctrl-C into a flag while a training runs; a second one acts as usual."""

    def __enter__(self) -> "_Signals":
        self.received: str | None = None
        self.previous = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self.previous[number])

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


class Progress:
    """One live line: rewritten on a terminal, printed at each validation into a log."""

    def __init__(self, name: str, steps: int):
        self.name, self.steps, self.live = name, steps, sys.stderr.isatty()
        self.shown, self.validations = 0.0, 0

    def show(self, training: MetaTraining) -> None:
        validated = len(training.history) > self.validations
        if validated or (self.live and time.monotonic() - self.shown > 1):
            self.shown, self.validations = time.monotonic(), len(training.history)
            print(self._line(training), end="\r" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self, training: MetaTraining) -> None:
        if training.reason:
            print(f"{self.name}: diverged, {training.reason}", file=sys.stderr, flush=True)
        elif self.live:
            print(self._line(training), file=sys.stderr, flush=True)

    def _line(self, training: MetaTraining) -> str:
        speed = training.step / training.seconds if training.seconds else 0.0
        budget = 60 * training.spec["minutes"] if training.spec["minutes"] else math.inf
        left = min((self.steps - training.step) / speed if speed else 0.0, budget - training.seconds)
        last = training.history[-1] if training.history else None
        scores = (
            f"loss {last['loss']:.4f}  {self._value(training, last['val_accuracy'])}" if last else "val -"
        )
        tasks = speed * training.params.meta_batch
        return (
            f"{self.name}: step {training.step}/{self.steps}  {tasks:.1f} tasks/s  {scores}  "
            f"{training.seconds:.0f} s, {max(left, 0):.0f} s left  "
        )

    @staticmethod
    def _value(training: MetaTraining, value: float) -> str:
        return f"val mse {value:.4f}" if training.run.kind == "regression" else f"val {100 * value:.2f} %"
