"""One live line per training."""

import math
import sys
import time


class Progress:
    """One live line: rewritten on a terminal, printed at each validation into a log.

    minutes: time limit of the training, None without one. metric: name of what validations measure.
    """

    def __init__(self, name: str, minutes: float | None, metric: str):
        self.name, self.metric = name, metric
        self.budget = 60 * minutes if minutes else math.inf
        self.live = sys.stderr.isatty()
        self.shown, self.validations = 0.0, 0

    def show(self, step: int, steps: int, seconds: float, history: list[dict]) -> None:
        """Print the line where something is new to show."""
        validated = len(history) > self.validations
        if validated or (self.live and time.monotonic() - self.shown > 1):
            self.shown, self.validations = time.monotonic(), len(history)
            line = self._line(step, steps, seconds, history)
            print(line, end="\r" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self, step: int, steps: int, seconds: float, history: list[dict], reason: str | None) -> None:
        """Print the last line, or why the training broke off."""
        if reason:
            print(f"{self.name}: diverged, {reason}", file=sys.stderr, flush=True)
        elif self.live:
            print(self._line(step, steps, seconds, history), file=sys.stderr, flush=True)

    def _line(self, step: int, steps: int, seconds: float, history: list[dict]) -> str:
        speed = step / seconds if seconds else 0.0
        left = min((steps - step) / speed if speed else 0.0, self.budget - seconds)
        rate, scores = f"{speed:.1f} steps/s", "val -"
        if history:
            last = history[-1]
            rate = f"{speed * last['tasks'] / last['step']:.1f} tasks/s"
            scores = f"loss {last['loss']:.4f}  {self._value(last['val_score'])}"
        return f"{self.name}: step {step}/{steps}  {rate}  {scores}  {seconds:.0f} s, {max(left, 0):.0f} s left  "

    def _value(self, value: float) -> str:
        return f"val {100 * value:.2f} %" if self.metric == "accuracy" else f"val {self.metric} {value:.4f}"
