"""What a training and a test say while they run: one live line on a terminal, a line now and then in a log."""

import math
import sys
import time

from bench.results.condition import NO_SHIFT, STANDARD, Condition

EVERY = 10.0
"""Seconds between the lines of a test in a log."""


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


class TestProgress:
    """The lines of a test."""

    __test__ = False  # pytest takes the name for one of its own

    def __init__(self, name: str):
        self.name, self.live = name, sys.stderr.isatty()
        self.start = self.shown = time.monotonic()
        self.done = 0
        self._print(f"{self.name}: test begins")

    def show(self, condition: Condition) -> None:
        """Count a condition that has been tested; print it where the last line is some time ago."""
        self.done += 1
        if time.monotonic() - self.shown > (1 if self.live else EVERY):
            self.shown = time.monotonic()
            text = f"{self.name}: {self.done} conditions tested, the last {spelled(condition)}, {self._seconds():.0f} s"
            self._print(text, end="\r" if self.live else "\n")

    def end(self, conditions: int, diverged: str | None) -> None:
        """Print the last line, or why the test broke off."""
        told = f"diverged, {diverged}" if diverged else f"{conditions} conditions tested"
        self._print(f"{self.name}: {told}, {self._seconds():.0f} s")

    def _seconds(self) -> float:
        return time.monotonic() - self.start

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


def spelled(condition: Condition) -> str:
    """`5-way 1-shot, inductive, shear 3 of the query`"""
    words = [f"{condition.test_way}-way {condition.test_shot}-shot", condition.mode]
    if condition.shift != NO_SHIFT:
        words.append(f"{condition.shift} {condition.severity or condition.value:g} of the {condition.scope}")
    if condition.test_tasks != STANDARD:
        words.append(f"tasks: {condition.test_tasks}")
    return ", ".join(words)
