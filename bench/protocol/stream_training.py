"""Training and testing on streams of images (Santoro et al. 2016)."""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import algos
from bench.paths import results_root
from bench.protocol import checkpoint, machine
from bench.protocol.fingerprint import code_files, fingerprint
from bench.protocol.sources import ImageSource
from bench.results.files import write_text
from tasks.seeds import seed_from, torch_generator
from tasks.stream import SIZE, Streams, StreamSampler, by_presentation, count_only

WAY, LENGTH, BATCH, RATE, CLIP, WIDTH = 5, 50, 16, 1e-3, 10.0, 200
SHOWN = 10
EVALUATE_EVERY, CHECKPOINT_SECONDS = 500, 30.0
LEARNERS = ("mann", "ntm", "lstm")


class StreamLearner(nn.Module):
    """Reads (image, label of the image before) and says which label this image has, at every step."""

    def __init__(self, memory: nn.Module | None):
        super().__init__()
        self.memory = memory
        if memory is None:
            self.lstm = nn.LSTM(SIZE * SIZE + WAY, WIDTH, batch_first=True)
        self.head = nn.Linear(memory.outputs if memory else WIDTH, WAY)

    def forward(self, streams: Streams) -> Tensor:
        """Logits `[B, T, WAY]`; those at t depend on the images up to t and on the labels before t."""
        before = F.pad(F.one_hot(streams.y, WAY)[:, :-1], (0, 0, 1, 0))
        tokens = torch.cat([streams.x, before.to(streams.x)], dim=-1)
        if self.memory is None:
            return self.head(self.lstm(tokens)[0])
        state, outputs = self.memory.initial(len(tokens)), []
        for token in self.memory.project(tokens).unbind(1):
            state = self.memory.step(token, state)
            outputs.append(state.output)
        return self.head(torch.stack(outputs, dim=1))


def build(name: str, overrides: dict[str, Any]) -> tuple[StreamLearner, dict[str, Any]]:
    """A learner and the hyper-parameters of its memory; ValueError names a hyper-parameter it does not have."""
    if name == "lstm":
        if overrides:
            raise ValueError(f"lstm has no hyper-parameters here, got {', '.join(overrides)}")
        return StreamLearner(None), {}
    learner = algos.load(name)
    params = learner.Params().override(name, overrides)
    return StreamLearner(learner.make_cell(params, SIZE * SIZE + WAY)), dataclasses.asdict(params)


class StreamTraining:
    """State of one training; `state` and `resume` are what makes a resumed run the same run."""

    def __init__(self, args: argparse.Namespace, source: ImageSource, device: torch.device):
        self.args, self.source, self.device = args, source, device
        self.overrides = dict(_setting(text) for text in args.set)
        axes = ("stream", args.dataset, args.labels, args.learner, args.seed)
        torch.manual_seed(seed_from("initialisation", *axes))
        learner, self.params = build(args.learner, self.overrides)
        self.learner = learner.to(device)
        self.optimizer = torch.optim.Adam(self.learner.parameters(), lr=RATE)
        generator = torch_generator(device, "training", *axes)
        self.sampler = StreamSampler(source.part("train"), generator, args.labels == "balanced", augment=True)
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.history: list[dict[str, float]] = []
        self.loss_sum = torch.zeros((), device=device)

    @property
    def folder(self) -> Path:
        variant = "-".join([self.args.learner, *(f"{key}={value}" for key, value in self.overrides.items())])
        return results_root() / "stream" / self.args.labels / variant / f"seed{self.args.seed}"

    def fingerprint(self) -> str:
        """Digest of settings, data and source files, not of the number of updates."""
        settings = [self.args.learner, self.args.labels, self.args.seed, self.params]
        files = code_files("stream_training", self.args.learner if self.params else None)
        return fingerprint(files, settings, self.source.digest)

    def loop(self, updates: int) -> None:
        self.learner.train()
        saved = time.monotonic()
        while self.step < updates:
            self._update()
            if self.step % EVALUATE_EVERY == 0 or self.step == updates:
                self._validate()
            if time.monotonic() - saved > CHECKPOINT_SECONDS or self.step == updates:
                checkpoint.save(self.folder, self.state())
                saved = time.monotonic()

    def _update(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        streams = self.sampler.sample(BATCH, WAY, LENGTH)
        loss = F.cross_entropy(self.learner(streams).flatten(0, 1), streams.y.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.learner.parameters(), CLIP)
        self.optimizer.step()
        self.loss_sum += loss.detach()
        self.step += 1
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu

    def _validate(self) -> None:
        """Accuracy by presentation on the same 96 streams of validation classes each time."""
        since = self.step - (self.history[-1]["step"] if self.history else 0)
        loss = self.loss_sum.item() / since
        self.loss_sum.zero_()
        if not loss == loss:
            raise RuntimeError(
                f"the training loss is not a number before update {self.step}; try another seed"
            )
        curve = self.accuracy("val", 96)[0]
        named = {f"presentation_{k + 1}": value for k, value in enumerate(curve)}
        self.history.append({"step": self.step, "seconds": self.seconds, "loss": loss, **named})
        shown = " ".join(f"{100 * curve[k]:.1f}" for k in (0, 1, 2, 4, 9))
        print(
            f"{self.args.learner}: update {self.step}  {self.seconds:.0f} s  loss {loss:.4f}  {shown} %",
            flush=True,
        )

    @torch.no_grad()
    def accuracy(self, part: str, streams: int) -> tuple[list[float], list[float]]:
        """By presentation, on `streams` streams of the part that are always the same: the learner, count-only."""
        balanced = self.args.labels == "balanced"
        generator = torch_generator(self.device, "streams", self.args.dataset, part, self.args.labels)
        sampler = StreamSampler(self.source.part(part), generator, balanced, augment=False)
        credits, blind, labels = [], [], []
        for start in range(0, streams, 32):
            batch = sampler.sample(min(32, streams - start), WAY, LENGTH)
            credits.append(self.learner(batch).argmax(-1) == batch.y)
            blind.append(count_only(batch.y.cpu(), WAY, balanced))
            labels.append(batch.y)
        y = torch.cat(labels)
        return (
            by_presentation(torch.cat(credits), y, WAY, SHOWN),
            by_presentation(torch.cat(blind), y.cpu(), WAY, SHOWN),
        )

    def state(self) -> dict[str, Any]:
        kept = ("step", "seconds", "cpu_seconds", "history", "loss_sum")
        return {
            "fingerprint": self.fingerprint(),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.generator.get_state(),
            **{key: getattr(self, key) for key in kept},
        }

    def resume(self) -> None:
        state = checkpoint.load(self.folder, self.fingerprint(), self.device)
        if state is None:
            return
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.generator.set_state(state["sampler"])
        for key in ("step", "seconds", "cpu_seconds", "history"):
            setattr(self, key, state[key])
        self.loss_sum = state["loss_sum"].to(self.device)
        print(f"{self.args.learner}: going on from update {self.step}", flush=True)

    def write(self, started: str, streams: int) -> None:
        """presentations.csv (test classes), history.csv and run.json."""
        accuracy, blind = self.accuracy("test", streams)
        table = pd.DataFrame({"presentation": range(1, SHOWN + 1), "accuracy": accuracy, "count_only": blind})
        write_text(self.folder / "presentations.csv", table.to_csv(index=False))
        write_text(self.folder / "history.csv", pd.DataFrame(self.history).to_csv(index=False))
        record = {
            "learner": self.args.learner,
            "dataset": self.args.dataset,
            "labels": self.args.labels,
            "seed": self.args.seed,
            "hyper_parameters": self.params,
            "updates": self.step,
            "batch": BATCH,
            "learning_rate": RATE,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "parameters": sum(p.numel() for p in self.learner.parameters()),
            "test_streams": streams,
            "data": {"digest": self.source.digest, "split": self.source.split_name},
            "provenance": machine.provenance(self.device, started),
        }
        write_text(self.folder / "run.json", json.dumps(record, indent=1) + "\n")


def _setting(text: str) -> tuple[str, Any]:
    """`slots=16` -> `("slots", 16)`; a value that is no number or truth value is a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
