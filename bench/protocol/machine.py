"""Device, threads and precision of a job."""

import torch


def choose(device: str) -> torch.device:
    """Return the device that a study's `train.device` means; `auto` is a GPU where there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("train.device is 'cuda', but torch sees no GPU: use 'auto', or check the driver")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def set_up(device: str, threads: int, tf32: bool = False) -> torch.device:
    """Choose the device and prepare this process for it.

    tf32: on a GPU, may float32 products be rounded to TF32 (10 bits of fraction)? For trainings; tests are float32.
    """
    chosen = choose(device)
    torch.set_num_threads(threads)
    allow_tf32(tf32)
    return chosen


def allow_tf32(allowed: bool) -> None:
    """May products and convolutions of float32 use TF32 from here on? Only GPUs have it; PyTorch's own default varies."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
