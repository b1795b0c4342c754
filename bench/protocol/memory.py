"""Memory of a process: its peak, and what is done with freed memory."""

import ctypes
import re
import resource
import sys
from pathlib import Path

import torch


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory of this process so far, in MB: the GPU's where one is used, else the resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return _resident_peak() / 1e6


def _resident_peak() -> int:
    """Return bytes. On Linux getrusage starts from the peak of the parent process, so it is asked second."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    if found:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def keep_freed(device: torch.device) -> None:
    """On a CPU, keep freed memory in the process: glibc would map and fault in every large tensor anew (benchmarks/)."""
    if device.type != "cpu" or sys.platform != "linux":
        return
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # another C library: nothing to tune
        return
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 1 << 30)
    libc.mallopt(top_pad, 64 << 20)
