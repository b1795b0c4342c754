"""Peak memory of a process."""

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
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if found:
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
