"""Polynomial regression (Finn and Levine 2018): cubics, used to study depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.functions import Functions, Range, scaled

DEGREE = 3


@dataclass(frozen=True)
class Polynomials(Functions):
    """Polynomials whose coefficients are uniform in [-high, -low] and [low, high], where (low, high) = `coefficients`.

    Out of range: the same polynomials with each coefficient moved away from zero by one.
    """

    coefficients: Range = (0.0, 1.0)
    x: Range = (-3.0, 3.0)

    NAME: ClassVar = "polynomial"
    PARAMETERS: ClassVar = tuple(f"x^{power}" for power in range(DEGREE + 1))
    OUT_OF_RANGE: ClassVar = {"coefficients": (1.0, 2.0)}
    LARGEST_MSE: ClassVar = 1300.0

    def parameters(self, uniform: Any) -> list[Any]:
        signed = 2 * uniform - 1
        sizes = scaled(abs(signed), self.coefficients)
        values = ((signed >= 0) * 2 - 1) * sizes
        return [values[:, i : i + 1] for i in range(DEGREE + 1)]

    def value(self, parameters: Sequence[Any], x: Any) -> Any:
        y = 0.0
        for coefficient in reversed(parameters):
            y = y * x + coefficient
        return y
