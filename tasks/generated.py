"""The data sets that are generated, by their name in a study."""

from tasks.functions import Functions
from tasks.polynomial import Polynomials
from tasks.sinusoid import Sinusoids

FUNCTIONS: dict[str, type[Functions]] = {kind.NAME: kind for kind in (Sinusoids, Polynomials)}
OUT_OF_RANGE = tuple(shift for kind in FUNCTIONS.values() for shift in kind.OUT_OF_RANGE)
"""Names of the ranges beyond those of meta-training; each data set has its own."""
