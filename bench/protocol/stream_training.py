"""Training and testing on streams of images (Santoro et al. 2016)."""

import argparse
import dataclasses
import json
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import algos
from bench.paths import results_root
from bench.protocol import checkpoint
from bench.protocol.fingerprint import code_digest
from bench.protocol.loop import Loop
from bench.protocol.provenance import provenance
from bench.protocol.sources import ImageSource
from bench.results.files import write_text
from tasks.seeds import seed_from, torch_generator
from tasks.stream import SIZE, Streams, StreamSampler, by_presentation, count_only

WAY, LENGTH, BATCH, RATE, CLIP, WIDTH = 5, 50, 16, 1e-3, 10.0, 200
SHOWN = 10
"""Presentations of a class whose accuracy is told."""
VALIDATE_EVERY, VALIDATION_STREAMS = 500, 96
LEARNERS = ("mann", "ntm", "lstm")


class StreamLearner(nn.Module):
    """Reads (image, label of the image before) and predicts the label of this image, at every step."""

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
    """Return a learner and the hyper-parameters of its memory; ValueError names one that it does not have."""
    if name == "lstm":
        if overrides:
            raise ValueError(f"lstm has no hyper-parameters here, got {', '.join(overrides)}")
        return StreamLearner(None), {}
    learner = algos.load(name)
    params = learner.Params().override(name, overrides)
    return StreamLearner(learner.make_cell(params, SIZE * SIZE + WAY)), dataclasses.asdict(params)


class StreamTraining(Loop):
    """A training on streams. Its checkpoint stays, so that the same command with more updates continues it."""

    def __init__(self, args: argparse.Namespace, source: ImageSource):
        self.args, self.source = args, source
        overrides = dict(_setting(text) for text in args.set)
        axes = ("stream", args.dataset, args.labels, args.learner, args.seed)
        torch.manual_seed(seed_from("initialisation", *axes))
        learner, self.params = build(args.learner, overrides)
        learner = learner.to(source.device)
        generator = torch_generator(source.device, "training", *axes)
        self.sampler = StreamSampler(source.part("train"), generator, args.labels == "balanced", augment=True)
        optimizer = torch.optim.Adam(learner.parameters(), lr=RATE)
        variant = "-".join([args.learner, *(f"{key}={value}" for key, value in overrides.items())])
        folder = results_root() / "stream" / args.labels / variant / f"seed{args.seed}"
        super().__init__(args.learner, folder, learner, optimizer, generator, VALIDATE_EVERY)
        settings = [
            args.learner,
            args.labels,
            args.seed,
            self.params,
        ]  # more updates continue the same training
        code = code_digest("stream_training", args.learner if self.params else None)
        self.fingerprint = checkpoint.fingerprint(settings, source.digest, code)

    def train(self, updates: int) -> None:
        """Train up to a number of updates, and leave a checkpoint. RuntimeError where the training diverges."""
        if self.step < updates:
            self.loop(updates)
            if self.reason:
                raise RuntimeError(f"{self.reason}; try another seed")
            self.save()

    def update(self) -> Tensor:
        """Take one step on `BATCH` streams."""
        streams = self.sampler.sample(BATCH, WAY, LENGTH)
        loss = F.cross_entropy(self.learner(streams).flatten(0, 1), streams.y.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.learner.parameters(), CLIP)
        self.optimizer.step()
        return loss.detach()

    def validate(self, loss: float) -> dict[str, float]:
        """Return the accuracy by presentation on streams of validation classes that are always the same."""
        curve = self.accuracy("val", VALIDATION_STREAMS)[0]
        shown = " ".join(f"{100 * curve[k]:.1f}" for k in (0, 1, 2, 4, 9))
        print(
            f"{self.name}: update {self.step}  {self.seconds:.0f} s  loss {loss:.4f}  {shown} %", flush=True
        )
        named = {f"presentation_{k + 1}": value for k, value in enumerate(curve)}
        return {"step": self.step, "seconds": self.seconds, "loss": loss, **named}

    @torch.no_grad()
    def accuracy(self, part: str, streams: int) -> tuple[list[float], list[float]]:
        """Return the accuracy by presentation of the learner and of count-only, on the same streams each time."""
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

    def write(self, started: str, streams: int) -> None:
        """Write presentations.csv (test classes), history.csv and run.json."""
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
            "provenance": provenance(self.device, started),
        }
        write_text(self.folder / "run.json", json.dumps(record, indent=1) + "\n")


def _setting(text: str) -> tuple[str, Any]:
    """`slots=16` -> `("slots", 16)`; a value that is no number or truth value is a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
