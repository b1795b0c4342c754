"""Glyphs: the embedded data set, drawn from the fonts that matplotlib ships. No download, the same bytes everywhere.

Characters are classes, scripts are alphabets, and each class has 20 "drawers". As in Omniglot a drawer has a hand: the
typeface, stroke width, slant and proportions are shared by all characters that one drawer draws in one script. On top
comes a fresh pose and a smooth elastic warp for every single drawing, so that drawings of one character look alike to a
person while their pixels hardly overlap.

Characters are turned at random and scripts such as Canadian Syllabics or arrows hold characters that differ by a quarter
turn only, so rotated copies do not make new classes here (`rotations` is 1).
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font, LoadFlags
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch.nn import functional as F

from tasks.seeds import numpy_generator

DRAWERS = 20
SIZE = 28  # pixels of a drawing's side
INK = 19.0  # pixels of the longer side of the ink in a drawing, at scale 1
CANVAS, EXTENT = 72, 48  # pixels of the side of a source glyph, and of the longer side of its ink
WAVES = 4  # cosine waves per axis in the elastic warp
ALIKE = 0.85  # characters whose normalised renderings correlate more than this count as one shape
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")

# Part of the split and code points (first, last) of each script. Where scripts share a shape (Latin A, Greek Alpha) the
# one listed first keeps it; the scripts of the test part come first because they are the smaller ones.
SCRIPTS: dict[str, tuple[str, tuple[tuple[int, int], ...]]] = {
    "Greek and Coptic": ("test", ((0x0370, 0x03FF),)),
    "Hebrew": ("test", ((0x05D0, 0x05EA),)),
    "Arabic": ("test", ((0x0600, 0x06FF), (0x0750, 0x077F))),
    "Lao": ("test", ((0x0E80, 0x0EDF),)),
    "Georgian Mkhedruli": ("test", ((0x10D0, 0x10FF),)),
    "Georgian Asomtavruli": ("test", ((0x10A0, 0x10C5),)),
    "Tifinagh": ("test", ((0x2D30, 0x2D6F),)),
    "Old Italic": ("test", ((0x10300, 0x1032F),)),
    "Armenian": ("val", ((0x0531, 0x0587),)),
    "NKo": ("val", ((0x07C0, 0x07FF),)),
    "Georgian Nuskhuri": ("val", ((0x2D00, 0x2D2F),)),
    "Ogham": ("val", ((0x1680, 0x169C),)),
    "Geometric Shapes": ("val", ((0x25A0, 0x25FF),)),
    "Latin": ("train", ((0x0030, 0x024F), (0x2C60, 0x2C7F), (0xA720, 0xA7FF))),
    "Phonetic": ("train", ((0x0250, 0x02AF), (0x1D00, 0x1DBF))),
    "Cyrillic": ("train", ((0x0400, 0x052F), (0xA640, 0xA69F))),
    "Canadian Syllabics": ("train", ((0x1400, 0x167F),)),
    "Mathematical Operators": ("train", ((0x2200, 0x22FF),)),
    "Arrows": ("train", ((0x2190, 0x21FF),)),
    "Miscellaneous Symbols": ("train", ((0x2600, 0x26FF),)),
}


@cache
def _font(face: str) -> FT2Font:
    return FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"))


@cache
def _covered(face: str) -> frozenset[int]:
    return frozenset(_font(face).get_charmap())


def render(code: int, face: str) -> np.ndarray | None:
    """Signed distance to the outline of a character: float64 `[CANVAS, CANVAS]` in pixels, positive on the ink.

    The ink is centred and its longer side scaled to EXTENT, so that c and C, or full stop and black circle, become one
    shape. Unhinted: FreeType's integer rasteriser gives the same pixels everywhere. None: no such character, or no ink.
    """
    if code not in _covered(face):
        return None
    font, flags = _font(face), LoadFlags.NO_HINTING | LoadFlags.NO_BITMAP
    font.set_size(EXTENT, 72)
    left, bottom, right, top = font.load_char(code, flags=flags).bbox
    if right <= left or top <= bottom:
        return None
    font.set_size(EXTENT * EXTENT * 64 / max(right - left, top - bottom), 72)
    glyph = font.load_char(code, flags=flags)
    left, bottom, right, top = (side // 64 for side in glyph.bbox)
    bitmap = np.zeros((CANVAS, CANVAS), np.uint8)
    font.draw_glyph_to_bitmap(bitmap, (CANVAS - (right - left)) // 2, (CANVAS - (top - bottom)) // 2, glyph)
    ink = bitmap > 127
    return distance_transform_edt(ink) - distance_transform_edt(~ink) - (ink - 0.5) if ink.any() else None


def renderings(code: int) -> list[np.ndarray]:
    """The character in every face that holds it."""
    return [distance for face in FACES if (distance := render(code, face)) is not None]


def thicken(distance: np.ndarray, stroke: float, limit: float) -> float:
    """Growth of the outline, at most `limit` pixels, that gives the mean stroke a width of `stroke` pixels.

    Inside a stroke of width w the distance to its edge averages w / 4.
    """
    return float(np.clip((stroke - 4 * distance[distance > 0].mean()) / 2, -limit, limit))


@dataclass(frozen=True)
class Pose:
    """How N drawings deviate from their sources; float64 `[N]` unless stated. Lengths in pixels of the drawing."""

    turn: np.ndarray  # radians
    slant: np.ndarray  # horizontal shift per vertical length
    size: np.ndarray  # factor
    aspect: np.ndarray  # width by height, factor
    grow: np.ndarray  # pixels of the source that the outline moves outwards
    shift: np.ndarray  # [N, 2] right, down
    warp: np.ndarray  # [N, 2, WAVES, WAVES] amplitudes of the cosine waves of the elastic warp


def draw(distances: np.ndarray, pose: Pose, samples: int) -> np.ndarray:
    """Signed distances `[N, CANVAS, CANVAS]` -> drawings float64 `[N, SIZE, SIZE]` in [0, 1].

    Each pixel averages `samples` x `samples` points, each with the coverage that its distance to the warped outline
    implies. In float64, so that rounding to 8 bits hides the differences between processors.
    """
    turn, slant, size, aspect, grow, shift, warp, source = (
        torch.from_numpy(np.ascontiguousarray(a))
        for a in (pose.turn, pose.slant, pose.size, pose.aspect, pose.grow, pose.shift, pose.warp, distances)
    )
    points = (torch.arange(SIZE * samples, dtype=torch.float64) + 0.5) / samples
    waves = torch.cos(torch.pi * torch.arange(WAVES) * points[:, None] / SIZE)
    moved = torch.einsum("yk,nckl,xl->ncyx", waves, warp, waves) - shift[:, :, None, None] - SIZE / 2
    x, y = moved[:, 0] + points, moved[:, 1] + points[:, None]
    turn, slant, size, aspect, grow = (a[:, None, None] for a in (turn, slant, size, aspect, grow))
    x, y = turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x
    scale = EXTENT / INK / size
    x, y = (x + slant * y) / aspect.sqrt() * scale, y * aspect.sqrt() * scale
    grid = torch.stack([x, y], dim=-1) / (CANVAS / 2)
    sampled = F.grid_sample(source[:, None], grid, padding_mode="border", align_corners=False)
    coverage = ((sampled[:, 0] + grow) / scale * samples + 0.5).clamp(0, 1)
    return F.avg_pool2d(coverage[:, None], samples)[:, 0].numpy()


def candidates() -> dict[int, str]:
    """Script of every letter, digit and symbol of SCRIPTS, without modifiers and precomposed (accented) forms."""
    codes = {
        code: script
        for script, (_, ranges) in SCRIPTS.items()
        for first, last in ranges
        for code in range(first, last + 1)
    }
    kinds = {code: unicodedata.category(chr(code)) for code in codes}
    return {
        code: script
        for code, script in codes.items()
        if kinds[code][0] in "LNS" and kinds[code] not in ("Lm", "Sk") and not unicodedata.decomposition(chr(code))
    }


def similarity(distances: np.ndarray) -> np.ndarray:
    """Highest correlation of each pair of shapes under small turns and stretches: `[N, CANVAS, CANVAS]` -> `[N, N]`.

    Compared are slightly blurred renderings at equal size and stroke width.
    """
    count = len(distances)
    flat, grow = np.zeros(count), np.array([thicken(d, stroke=6.0, limit=3.0) for d in distances])

    def view(turn: float, aspect: float) -> np.ndarray:
        still = np.zeros((count, 2)), np.zeros((count, 2, WAVES, WAVES))
        shapes = draw(distances, Pose(flat + turn, flat, flat + 1.2, flat + aspect, grow, *still), samples=1)
        shapes = gaussian_filter(shapes, (0, 1, 1)).reshape(count, -1)
        shapes -= shapes.mean(axis=1, keepdims=True)
        return shapes / np.linalg.norm(shapes, axis=1, keepdims=True)

    straight = view(0.0, 1.0)
    highest = np.max([straight @ view(turn, aspect).T for turn in (-0.2, 0.0, 0.2) for aspect in (0.8, 1.0, 1.25)], axis=0)
    return np.maximum(highest, highest.T)


def distinct(distances: np.ndarray) -> list[int]:
    """Positions of shapes no two of which are alike; of two that are, the earlier stays."""
    alike = similarity(distances) > ALIKE
    kept: list[int] = []
    for i, row in enumerate(alike):
        if not row[kept].any():
            kept.append(i)
    return kept


def poses(code: int, script: str, faces: list[np.ndarray]) -> tuple[np.ndarray, Pose]:
    """The face and pose of each drawing of a character: int64 `[DRAWERS]` positions in `faces`, and the pose."""
    hands = [numpy_generator("glyphs", "hand", script, drawer).uniform(-1, 1, 4) for drawer in range(DRAWERS)]
    face, slant, aspect, stroke = np.array(hands).T
    chosen = ((face + 1) / 2 * len(faces)).astype(np.int64)
    fresh = numpy_generator("glyphs", "drawing", code)
    turn, bend, size = fresh.uniform(-1, 1, (3, DRAWERS))
    grow = [thicken(faces[i], stroke=5.0 + 1.8 * s, limit=1.5) for i, s in zip(chosen, stroke, strict=True)]
    frequency = np.add.outer(np.arange(WAVES), np.arange(WAVES))
    return chosen, Pose(
        turn=0.25 * turn,
        slant=0.2 * slant + 0.1 * bend,
        size=np.exp(0.15 * size),
        aspect=np.exp(0.25 * aspect),
        grow=np.array(grow),
        shift=fresh.uniform(-1.5, 1.5, (DRAWERS, 2)),
        warp=fresh.normal(size=(DRAWERS, 2, WAVES, WAVES)) * np.where(frequency > 0, 0.9 / np.maximum(frequency, 1), 0),
    )


def drawings(code: int, script: str) -> np.ndarray:
    """One character by each drawer: uint8 `[DRAWERS, SIZE, SIZE]`, ink = 255."""
    faces = renderings(code)
    chosen, pose = poses(code, script, faces)
    return np.rint(255 * draw(np.stack(faces)[chosen], pose, samples=2)).astype(np.uint8)


@cache
def alphabet() -> dict[str, tuple[int, str]]:
    """Code point and script of each class by its name, in the order of the classes."""
    found = {code: script for code, script in candidates().items() if renderings(code)}
    codes = list(found)
    kept = [codes[i] for i in distinct(np.stack([renderings(code)[0] for code in codes]))]
    return dict(sorted((f"{found[code]}/U+{code:05X}", (code, found[code])) for code in kept))


def build() -> tuple[np.ndarray, dict]:
    """Draw the data set: images uint8 `[classes, DRAWERS, SIZE, SIZE]` (ink = 255) and its meta.json."""
    classes = alphabet()
    images = np.stack([drawings(code, script) for code, script in classes.values()])
    groups = [script for _, script in classes.values()]
    parts = {
        part: [i for i, script in enumerate(groups) if SCRIPTS[script][0] == part] for part in ("train", "val", "test")
    }
    return images, {
        "name": "glyphs",
        "kind": "glyphs",
        "size": SIZE,
        "channels": 1,
        "class_names": list(classes),
        "groups": groups,
        "splits": {"default": parts},
        "default_split": "default",
        "rotations": 1,
        "mean": [0.0],
        "std": [1.0],
        "digest": hashlib.sha256(images.tobytes()).hexdigest(),
        "source": f"rendered from the DejaVu and STIX fonts of matplotlib {version('matplotlib')}",
        "licence": "drawings of free fonts: DejaVu (Bitstream Vera licence), STIX (STIX Font licence)",
        "citation": "",
    }
