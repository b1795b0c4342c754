"""Sinusoid regression (Finn et al. 2017, section 5.1): y = amplitude * sin(frequency * x - phase) (+ noise)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from tasks.functions import Functions, Range

ALPACA = {"frequency": (0.999, 1.0), "noise": math.sqrt(0.02)}  # Harrison et al. 2018


@dataclass(frozen=True)
class Sinusoids(Functions):
    """Sinusoids whose parameters are uniform in their ranges (low, high); phase and x in radians."""

    amplitude: Range = (0.1, 5.0)
    phase: Range = (0.0, math.pi)
    frequency: Range = (1.0, 1.0)
    x: Range = (-5.0, 5.0)

    NAME: ClassVar = "sinusoid"
    PARAMETERS: ClassVar = ("amplitude", "phase", "frequency")
    OUT_OF_RANGE: ClassVar = {"amplitude": (5.0, 10.0), "phase": (math.pi, 2 * math.pi)}
    SPLITS: ClassVar = {"noisy": ALPACA}  # without noise no interval can be calibrated
    LARGEST_MSE: ClassVar = 100.0

    def value(self, parameters: Sequence[Any], x: Any) -> Any:
        amplitude, phase, frequency = parameters
        sin = torch.sin if isinstance(x, torch.Tensor) else np.sin
        return amplitude * sin(frequency * x - phase)
