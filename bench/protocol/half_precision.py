"""Whether this machine computes in bfloat16 or imitates it, which is slow."""

import torch

UNITS = ("avx512_bf16", "amx_bf16", "avx10_2", "avx_ne_convert", "bf16", "sve_bf16")
"""Features of processors with instructions for bfloat16: x86, then ARM."""


def slow_precision(device: torch.device, precision: str) -> str:
    """Return a warning if a training in bfloat16 runs on a processor without instructions for it; else an empty text."""
    processor = torch.cpu.get_capabilities()
    if precision != "bfloat16" or device.type != "cpu" or any(processor.get(unit) for unit in UNITS):
        return ""
    return (
        f"train.precision: bfloat16: this processor ({processor.get('cpu_name', processor['architecture'])}) has no instructions "
        "for it, so training is slower than in float32, up to 8 times; for speed, write `precision: float32`"
    )
