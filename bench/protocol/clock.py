"""The time that work takes, whatever else the machine does meanwhile."""

import time
from collections.abc import Callable

import torch

Clock = Callable[[], float]


def clock_of(device: torch.device) -> Clock:
    """Return a clock in seconds. CPU time of one thread is the wall time of a free core, however busy the machine is now."""
    if device.type == "cuda":
        return _after_the_device
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def _after_the_device() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
