"""Interleaved timing: work per CPU-second of one thread (on a GPU: per second) and per second of wall time."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

import torch


@dataclass(frozen=True)
class Scale:
    """Sizes of the measurements. The defaults are close to our Omniglot studies, with fewer tasks per batch."""

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
    """Minimum CPU time of a block, in seconds."""


@dataclass(frozen=True)
class Variant:
    """One way to do the work. time(runs) returns CPU and wall seconds of this many runs of `work` units each."""

    name: str
    work: float
    time: Callable[[int], tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """Ways to do the same work; the first is the baseline. skipped: reasons why variants could not be measured."""

    case: str
    name: str
    unit: str
    variants: list[Variant]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rate:
    """Medians over blocks, in units of work per second: value of CPU time (on a GPU: wall time), wall of wall time."""

    value: float
    wall: float


def local(name: str, work: float, run: Callable[[], object], device: torch.device) -> Variant:
    """Return a variant that runs in this process."""
    return Variant(name, work, lambda runs: stopwatch(run, runs, device))


def stopwatch(run: Callable[[], object], runs: int, device: torch.device) -> tuple[float, float]:
    """Return CPU and wall seconds of `runs` calls. On a GPU both are wall time, read after the device has finished."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(runs):
        run()
    _wait(device)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return (wall if device.type == "cuda" else cpu), wall


def measure(comparison: Comparison, scale: Scale) -> list[Rate]:
    """Return one rate per variant. Variants take turns, block by block, so that a busy machine slows all of them alike."""
    runs = [_warm_up(variant, scale.seconds) for variant in comparison.variants]
    rates: list[list[Rate]] = [[] for _ in runs]
    for _ in range(scale.blocks):
        for count, variant, measured in zip(runs, comparison.variants, rates, strict=True):
            seconds, wall = variant.time(count)
            measured.append(Rate(count * variant.work / seconds, count * variant.work / wall))
    return [_median(measured) for measured in rates]


def _warm_up(variant: Variant, seconds: float) -> int:
    """Run until the time of one run is known; return the number of runs in a block of `seconds`."""
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
