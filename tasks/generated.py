"""Classes of the generated data sets, by their name in a study."""

from tasks.functions import Functions
from tasks.polynomial import Polynomials
from tasks.sinusoid import Sinusoids

FUNCTIONS: dict[str, type[Functions]] = {kind.NAME: kind for kind in (Sinusoids, Polynomials)}
