"""Generated data sets: name in a study -> class. What can be known of them without torch is in `tasks.catalogue`."""

from tasks.functions import Functions
from tasks.polynomial import Polynomials
from tasks.sinusoid import Sinusoids

FUNCTIONS: dict[str, type[Functions]] = {cls.NAME: cls for cls in (Sinusoids, Polynomials)}
