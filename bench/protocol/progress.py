"""One live line per training."""

import math
import sys
import time
from typing import Any


class Progress:
    """One live line: rewritten on a terminal, printed at each validation into a log."""

    def __init__(self, name: str, steps: int):
        self.name, self.steps, self.live = name, steps, sys.stderr.isatty()
        self.shown, self.validations = 0.0, 0

    def show(self, training: Any) -> None:
        validated = len(training.history) > self.validations
        if validated or (self.live and time.monotonic() - self.shown > 1):
            self.shown, self.validations = time.monotonic(), len(training.history)
            print(self._line(training), end="\r" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self, training: Any) -> None:
        if training.reason:
            print(f"{self.name}: diverged, {training.reason}", file=sys.stderr, flush=True)
        elif self.live:
            print(self._line(training), file=sys.stderr, flush=True)

    def _line(self, training: Any) -> str:
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
    def _value(training: Any, value: float) -> str:
        return f"val mse {value:.4f}" if training.run.kind == "regression" else f"val {100 * value:.2f} %"
