"""Names, units and strengths of the distribution shifts. `tasks.shifts` applies them; this table needs no torch.

Severities follow MNIST-C (Mu and Gilmer 2019) and ImageNet-C (Hendrycks and Dietterich 2019) where those leave a 28x28
drawing legible; shear and scale also take the values of Finn and Levine (2018), which are explicit strengths.
"""

import math
from dataclasses import dataclass
from typing import Literal

IMAGERY = ("glyphs", "photos")
"""What images show: drawings (ink = 1 on a background of 0), or photos."""
SEVERITIES = range(6)
"""0 is the identity; 1 to 5 are the graded strengths of a shift."""


@dataclass(frozen=True)
class Shift:
    """A shift by its name. The function of the same name in `tasks.shift_ops` does it.

    unit: unit of a strength ("px" counts pixels of the prepared image and scales with the resolution);
    identity: strength that changes nothing; limits: lowest and highest strength allowed;
    levels: imagery -> strengths of severities 1 to 5; a shift is undefined for an imagery without levels;
    acts_on: "geometry" moves the full-resolution originals where there are any, "pixels" changes the prepared image.
    """

    name: str
    title: str
    unit: str
    identity: float
    limits: tuple[float, float]
    levels: dict[str, tuple[float, float, float, float, float]]
    acts_on: Literal["geometry", "pixels"]
    doc: str

    def check(self, value: float) -> None:
        """Raise ValueError, naming the limits, for a strength outside of them."""
        low, high = self.limits
        if not low <= value <= high:
            raise ValueError(
                f"value of shift {self.name!r} must be from {low} to {high} {self.unit}, not {value!r}"
            )


def _tangents(*values: float) -> tuple[float, ...]:
    return tuple(math.atan(value) for value in values)


def _table() -> dict[str, Shift]:
    def levels(glyphs, photos=None):
        return {"glyphs": glyphs} | ({"photos": photos} if photos else {})

    inf = math.inf
    shrink, fade, sigma = (0.9, 0.8, 0.7, 0.6, 0.5), (0.4, 0.3, 0.2, 0.1, 0.05), (0.5, 0.75, 1.0, 1.25, 1.5)
    rows = [
        Shift("smear", "Smear", "px", 0, (0, inf), levels((3, 5, 7, 9, 11), (5, 7, 9, 13, 17)), "geometry",
              "ink dragged to the upper right, its trail fading over this length; photos: a fading motion blur"),
        Shift("shear", "Shear", "rad", 0, (-1.5, 1.5),
              levels(_tangents(0.2, 0.4, 0.6, 0.8, 1.0), _tangents(0.1, 0.2, 0.3, 0.4, 0.5)), "geometry",
              "rows displaced in proportion to their height; a positive angle leans left, a negative one right"),
        Shift("scale", "Scale", "x", 1, (0.05, 20), levels(shrink, shrink), "geometry",
              "size of the content in a frame of constant size"),
        Shift("rotate", "Rotation", "rad", 0, (-math.tau, math.tau),
              levels((0.2, 0.4, 0.6, 0.8, 1.0), (0.15, 0.3, 0.45, 0.6, 0.8)), "geometry",
              "counter-clockwise; 0.79 is as far from the class as from its copy turned by 90 degrees"),
        Shift("translate", "Translation", "px", 0, (0, inf), levels((1, 2, 3, 4, 5), (3, 6, 9, 12, 15)), "geometry",
              "each image moved in a random direction of its own"),
        Shift("blur", "Blur", "px", 0, (0, inf), levels(sigma, sigma), "geometry",
              "Gaussian blur of this standard deviation"),
        Shift("noise", "Gaussian noise", "sigma", 0, (0, inf),
              levels((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.08, 0.12, 0.15, 0.18)), "pixels",
              "independent Gaussian noise of this standard deviation, clipped"),
        Shift("impulse", "Impulse noise", "share", 0, (0, 1),
              levels((0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.05, 0.08, 0.14)), "pixels",
              "this share of the values replaced by black or white"),
        Shift("occlude", "Occlusion", "px", 0, (0, inf), levels((4, 6, 8, 10, 12), (12, 20, 28, 36, 44)), "pixels",
              "a square of this side hidden, centred on ink but never over all of it; photos: anywhere"),
        Shift("contrast", "Contrast", "x", 1, (0, inf), levels(fade, fade), "pixels",
              "distance of each value to the image's mean"),
        Shift("thickness", "Stroke thickness", "px", 0, (-inf, inf), levels((0.3, 0.6, 0.9, 1.2, 1.5)), "geometry",
              "strokes grown by a disk of this radius; a negative one thins, 40 % of the ink stays"),
    ]  # fmt: skip
    return {row.name: row for row in rows}


SHIFTS: dict[str, Shift] = _table()
"""Every shift by its name."""


def find(name: str, imagery: str) -> Shift:
    """Return the shift of this name. ValueError: unknown, or undefined for this imagery; lists the choices."""
    if imagery not in IMAGERY:
        raise ValueError(f"imagery {imagery!r} is unknown; choose from {', '.join(IMAGERY)}")
    available = [shift.name for shift in SHIFTS.values() if imagery in shift.levels]
    if name not in available:
        raise ValueError(f"shift {name!r} is not defined for {imagery}; choose from {', '.join(available)}")
    return SHIFTS[name]


def strength(name: str, severity: int, imagery: str) -> float:
    """Return the strength of a severity, 0 to 5, in the unit of the shift. ValueError: another severity."""
    shift = find(name, imagery)
    if severity not in SEVERITIES:
        raise ValueError(f"severity of shift {name!r} must be an integer from 0 to 5, not {severity!r}")
    return float(shift.levels[imagery][int(severity) - 1]) if severity else float(shift.identity)
