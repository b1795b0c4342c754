"""Interleaved timing: work per CPU-second of one thread (on a GPU: per second), next to the wall clock."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

import torch


@dataclass(frozen=True)
class Scale:
    """Sizes of the measurements; by default near those of our Omniglot studies, with fewer tasks per batch."""

    hidden: int = 64
    classes: int = 1200
    test_classes: int = 423
    per_class: int = 20
    tasks: int = 8
    way: int = 30
    episodes: int = 600
    set_sizes: tuple[int, ...] = (1, 5, 10, 25, 75)
    blocks: int = 3
    seconds: float = 0.4
    """Shortest CPU time of a block."""


@dataclass(frozen=True)
class Variant:
    """One way to do the work. time(runs) -> CPU seconds and wall seconds of that many runs of `work` units each."""

    name: str
    work: float
    time: Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """Ways to do the same work; the first is the reference. skipped: why a variant could not be measured."""

    case: str
    name: str
    unit: str
    variants: list[Variant]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rate:
    """Medians over blocks: units of work per second of the device's clock (CPU time, or wall on a GPU) and of wall."""

    value: float
    wall: float


def local(name: str, work: float, run: Callable[[], object], device: torch.device) -> Variant:
    """A variant that runs in this process."""
    return Variant(name, work, lambda runs: stopwatch(run, runs, device))


def stopwatch(run: Callable[[], object], runs: int, device: torch.device) -> tuple[float, float]:
    """Seconds of `runs` calls: CPU time of this process, wall. On a GPU both are wall, after the device has finished."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        run()
    _wait(device)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return (wall if device.type == "cuda" else cpu), wall


def measure(comparison: Comparison, scale: Scale) -> list[Rate]:
    """One rate per variant. The variants take turns, block by block, so that a busy machine slows all alike."""
    runs = [_warm_up(variant, scale.seconds) for variant in comparison.variants]
    rates: list[list[Rate]] = [[] for _ in runs]
    for _ in range(scale.blocks):
        for count, variant, measured in zip(runs, comparison.variants, rates, strict=True):
            seconds, wall = variant.time(count)
            measured.append(Rate(count * variant.work / seconds, count * variant.work / wall))
    return [_median(measured) for measured in rates]


def _warm_up(variant: Variant, seconds: float) -> int:
    """Run until the time of one run is known; returns the runs that make a block of `seconds`."""
    runs = 1
    while (taken := variant.time(runs)[0]) < seconds / 4:
        runs *= 2
    return max(1, math.ceil(seconds * runs / taken))


def _median(rates: Iterable[Rate]) -> Rate:
    rates = list(rates)
    return Rate(median(r.value for r in rates), median(r.wall for r in rates))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
