"""Glyphs: the embedded data set, drawn from the fonts of matplotlib. It needs no download and has the same bytes everywhere.

Characters are classes, scripts are alphabets, and each class has 20 "drawers". As in Omniglot, a drawer has a hand: all
characters that one drawer draws in one script share typeface, stroke width, slant and proportions. Every drawing has a
pose and a smooth elastic warp of its own, so that drawings of one character look alike to a person while their pixels
hardly overlap.

Characters are turned at random, and scripts such as Canadian Syllabics or arrows hold characters that differ by a quarter
turn only, so rotated copies make no new classes here (`rotations` is 1).
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

import numpy as np

from tasks.preparation.outlines import SIZE, WAVES, Pose, draw, growth, render, similarity
from tasks.seeds import numpy_generator

DRAWERS = 20
ALIKE = 0.88  # correlation above which two characters count as one
AKIN = 0.6  # correlation with the first face below which a face shows another character
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")

# Script -> part of the split, and ranges of code points (first, last). Where scripts share a shape (Latin A, Greek Alpha),
# the script listed first keeps it. Scripts of the test part come first because they are smaller.
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
    "Dingbats": ("train", ((0x2700, 0x27BF),)),
}


def candidates() -> dict[int, str]:
    """Letters, digits and symbols of SCRIPTS without modifiers and precomposed (accented) forms: code point -> script."""
    codes = {
        code: script
        for script, (_, ranges) in SCRIPTS.items()
        for first, last in ranges
        for code in range(first, last + 1)
    }
    categories = {code: unicodedata.category(chr(code)) for code in codes}
    return {
        code: script
        for code, script in codes.items()
        if categories[code][0] in "LNS"
        and categories[code] not in ("Lm", "Sk")
        and not unicodedata.decomposition(chr(code))
    }


@dataclass(frozen=True, eq=False)
class Character:
    """One class. shapes: float32 `[faces, CANVAS, CANVAS]`, one per typeface (`outlines.render`)."""

    code: int
    script: str
    shapes: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.script}/U+{self.code:04X}"


def select(characters: list[Character]) -> list[Character]:
    """Drop faces that show another character, then each character that resembles an earlier one in some face."""
    owner = np.repeat(np.arange(len(characters)), [len(c.shapes) for c in characters])
    like = similarity(
        np.concatenate([c.shapes for c in characters]), np.stack([c.shapes[0] for c in characters])
    )
    akin = like[np.arange(len(owner)), owner] >= AKIN
    like = np.maximum.reduceat(like[akin], np.searchsorted(owner[akin], np.arange(len(characters))))
    alike = np.maximum(like, like.T) > ALIKE
    kept: list[int] = []
    for i, row in enumerate(alike):
        if not row[kept].any():
            kept.append(i)
    return [
        Character(characters[i].code, characters[i].script, characters[i].shapes[akin[owner == i]])
        for i in kept
    ]


@cache
def alphabet() -> tuple[Character, ...]:
    """Return the classes, sorted by name."""
    found = []
    for code, script in candidates().items():
        shapes = [shape for face in FACES if (shape := render(code, face)) is not None]
        if shapes:
            found.append(Character(code, script, np.stack(shapes)))
    return tuple(sorted(select(found), key=lambda character: character.name))


def poses(character: Character) -> tuple[np.ndarray, Pose]:
    """Return the face (int64 `[DRAWERS]`, index) and the pose in which each drawer draws a character."""
    script, shapes = character.script, character.shapes
    hands = [numpy_generator("glyphs", "hand", script, drawer).uniform(-1, 1, 4) for drawer in range(DRAWERS)]
    face, slant, aspect, stroke = np.array(hands).T
    chosen = ((face + 1) / 2 * len(shapes)).astype(np.int64)
    fresh = numpy_generator("glyphs", "drawing", character.code)
    turn, bend, size = fresh.uniform(-1, 1, (3, DRAWERS))
    grow = [growth(shapes[i], stroke=5.2 + 1.6 * s, limit=1.5) for i, s in zip(chosen, stroke, strict=True)]
    frequency = np.add.outer(np.arange(WAVES), np.arange(WAVES))
    return chosen, Pose(
        turn=0.25 * turn,
        slant=0.2 * slant + 0.1 * bend,
        size=np.exp(0.15 * size),
        aspect=np.exp(0.25 * aspect),
        grow=np.array(grow),
        shift=fresh.uniform(-2, 2, (DRAWERS, 2)),
        warp=fresh.normal(size=(DRAWERS, 2, WAVES, WAVES))
        * np.where(frequency > 0, 0.9 / np.maximum(frequency, 1), 0),
    )


def drawings(character: Character) -> np.ndarray:
    """Draw one character by each drawer: uint8 `[DRAWERS, SIZE, SIZE]`, ink = 255."""
    chosen, pose = poses(character)
    return np.rint(255 * draw(character.shapes[chosen], pose, samples=2)).astype(np.uint8)


def build() -> tuple[np.ndarray, dict]:
    """Draw the data set: images uint8 `[classes, DRAWERS, SIZE, SIZE]` (ink = 255) and its meta.json."""
    characters = alphabet()
    images = np.stack([drawings(character) for character in characters])
    groups = [character.script for character in characters]
    parts = {
        part: [i for i, script in enumerate(groups) if SCRIPTS[script][0] == part]
        for part in ("train", "val", "test")
    }
    return images, {
        "name": "glyphs",
        "imagery": "glyphs",
        "size": SIZE,
        "channels": 1,
        "class_names": [character.name for character in characters],
        "groups": groups,
        "splits": {"default": parts},
        "default_split": "default",
        "rotations": 1,
        "mean": [0.0],
        "std": [1.0],
        "digest": hashlib.sha256(images.tobytes()).hexdigest(),
        "source": f"rendered from the DejaVu and STIX fonts of matplotlib {version('matplotlib')}",
        "licence": "drawings of free fonts: DejaVu (Bitstream Vera licence), STIX (STIX Font licence)",
        "citation": "Hunter, J. D. (2007). Matplotlib: A 2D graphics environment. Computing in Science & Engineering 9(3).",
    }
