"""The loop of a training: updates, validation, checkpoints, resumption. What an update is, a subclass says."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.paths import CHECKPOINT_SECONDS
from bench.protocol import checkpoint
from bench.protocol.optimizer import load_state
from bench.protocol.signals import Signals

if TYPE_CHECKING:
    from bench.protocol.progress import Progress


class Stopped(Exception):
    """A signal asked the training to stop; the checkpoint is on disk."""


class Loop:
    """A training that can be stopped at any moment and resumed exactly; `state` and `restore` make it so.

    fingerprint: digest of settings, data and code, set by the subclass. seconds, cpu_seconds: of all updates. history: one row per validation, with at least step, seconds and loss.
    reason: why the training broke off (it diverged), or None.
    """

    fingerprint: str
    KEPT: tuple[str, ...] = ("step", "seconds", "cpu_seconds", "history")
    """Attributes that a checkpoint holds besides weights, optimiser and random streams."""

    def __init__(
        self,
        name: str,
        folder: Path,
        learner: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        validate_every: int,
    ):
        self.name, self.folder, self.validate_every = name, folder, validate_every
        self.learner, self.optimizer, self.generator = learner, optimizer, generator
        self.device = generator.device
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.history: list[dict[str, float]] = []
        self.loss_sum = torch.zeros((), device=self.device)
        self.reason: str | None = None

    def update(self) -> Tensor:
        """Take one step of the optimiser; return the loss, still on the device."""
        raise NotImplementedError

    def validate(self, loss: float) -> dict[str, float]:
        """Return a row of the history. loss: mean over the updates since the last row."""
        raise NotImplementedError

    def loop(self, steps: int, minutes: float | None = None, progress: "Progress | None" = None) -> None:
        """Update until a number of steps or a time is used up. Raises Stopped after SIGTERM or Ctrl-C."""
        budget = 60 * minutes if minutes else math.inf
        self.learner.train()
        saved = time.monotonic()
        with Signals() as signals:
            while self.step < steps and self.seconds < budget and not self.reason:
                self._update()
                if self.step % self.validate_every == 0 or self.step == steps:
                    self._validate()
                if progress:
                    progress.show(self.step, steps, self.seconds, self.history)
                if signals.received or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if signals.received:
                    raise Stopped(f"stopped by {signals.received} after {self.step} steps, checkpoint saved")
            if not self.reason and (not self.history or self.history[-1]["step"] != self.step):
                self._validate()
        if progress:
            progress.end(self.step, steps, self.seconds, self.history, self.reason)

    def _update(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.loss_sum += self.update()
        self.step += 1
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu

    def _validate(self) -> None:
        """Add a row to the history. The only place where the host waits for the device."""
        since = self.step - (self.history[-1]["step"] if self.history else 0)
        wall = time.perf_counter()
        loss = self.loss_sum.item() / since  # a GPU lags behind `_update`, which only hands it work
        self.seconds += time.perf_counter() - wall
        self.loss_sum.zero_()
        row = self.validate(loss) if math.isfinite(loss) else {"training loss": loss}
        strange = [f"the {key} became {n}" for key, n in row.items() if not math.isfinite(n)]
        if strange:
            self.reason = f"{strange[0].replace('_', ' ')} before step {self.step}"
        else:
            self.history.append(row)

    def save(self) -> None:
        """Write the checkpoint."""
        checkpoint.save(self.folder, self.state())

    def resume(self) -> None:
        """Continue from the checkpoint of the same training, if there is one."""
        state = checkpoint.load(self.folder, self.fingerprint)
        if state is not None:
            self.restore(state)
            print(f"{self.name}: resuming from step {self.step}", flush=True)

    def state(self) -> dict[str, Any]:
        """Return the content of the checkpoint."""
        return {
            "fingerprint": self.fingerprint,
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "loss_sum": self.loss_sum,
            **{key: getattr(self, key) for key in self.KEPT},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the content of a checkpoint, which may come from another device."""
        self.learner.load_state_dict(state["learner"])
        load_state(self.optimizer, state["optimizer"])
        self.generator.set_state(state["sampler"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)
        for key in self.KEPT:
            setattr(self, key, state[key])
        self.loss_sum = state["loss_sum"].to(self.device)
