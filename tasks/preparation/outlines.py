"""Outlines of characters as signed distances: rendered from a font, drawn in any pose, compared with each other.

A shape is the signed distance to the outline of a character in pixels, float32 `[CANVAS, CANVAS]`, positive on the ink.
A thicker or thinner stroke is then an addition, and a warp needs no new rendering.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font, LoadFlags
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch.nn import functional as F

CANVAS, EXTENT = 72, 48  # pixels of the side of a shape, and of the longer side of its ink
SIZE, INK = 28, 19.0  # the same in a drawing of size 1
WAVES = 4  # cosine waves per axis in an elastic warp


@cache
def _font(face: str) -> FT2Font:
    return FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"))


@cache
def _covered(face: str) -> frozenset[int]:
    return frozenset(_font(face).get_charmap())


def render(code: int, face: str) -> np.ndarray | None:
    """Render a code point in a typeface of matplotlib as a shape, float32 `[CANVAS, CANVAS]` in pixels, positive on the ink.

    None: the face lacks the character, or the character has no ink. The ink is centred and its longer side scaled to
    EXTENT, so that c and C, or full stop and black circle, become one shape. Hinting is off, so that FreeType's integer
    rasteriser gives the same pixels everywhere.
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
    # matplotlib adds the glyph's left bearing to the column, but nothing to the row.
    column, row = (CANVAS - (right - left)) // 2 - left, (CANVAS - (top - bottom)) // 2
    font.draw_glyph_to_bitmap(bitmap, column, row, glyph)
    ink = bitmap > 127
    if not ink.any():
        return None
    distance = distance_transform_edt(ink) - distance_transform_edt(~ink)
    return (distance - np.sign(distance) / 2).astype(
        np.float32
    )  # from pixel centres to the outline between them


def growth(shape: np.ndarray, stroke: float, limit: float) -> float:
    """Pixels by which the outline of a shape must move outwards to give strokes of mean width `stroke`, within +-`limit`.

    shape: `[CANVAS, CANVAS]`. Inside a stroke of width w the mean distance to its edge is w / 4.
    """
    return float(np.clip((stroke - 4 * shape[shape > 0].mean()) / 2, -limit, limit))


@dataclass(frozen=True)
class Pose:
    """Poses of N drawings; float64 `[N]` unless stated."""

    turn: np.ndarray  # radians, clockwise
    slant: np.ndarray  # pixels to the right per pixel up
    size: np.ndarray  # factor
    aspect: np.ndarray  # width by height, factor
    grow: np.ndarray  # pixels of the shape by which the outline moves outwards
    shift: np.ndarray  # `[N, 2]` pixels of the drawing to the right and down
    warp: (
        np.ndarray
    )  # `[N, 2, WAVES, WAVES]` pixels of the drawing: amplitudes of the elastic warp's cosine waves


def draw(shapes: np.ndarray, pose: Pose, samples: int) -> np.ndarray:
    """Draw shapes `[N, CANVAS, CANVAS]` in N poses: float64 `[N, SIZE, SIZE]` in [0, 1], ink = 1.

    Each pixel is the mean of `samples` x `samples` points, each with the coverage implied by its distance to the warped
    outline. Computed in float64, so that rounding to 8 bits hides the differences between processors.
    """
    turn, slant, size, aspect, grow, shift, warp, source = (
        torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64))
        for a in (pose.turn, pose.slant, pose.size, pose.aspect, pose.grow, pose.shift, pose.warp, shapes)
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


def _blurred(shapes: np.ndarray, grow: np.ndarray, turn: float, aspect: float) -> np.ndarray:
    """Blurred drawings in one pose as unit vectors without mean, `[N, D]`."""
    count = len(shapes)
    flat = np.zeros(count)
    still = np.zeros((count, 2)), np.zeros((count, 2, WAVES, WAVES))
    drawings = draw(shapes, Pose(flat + turn, flat, flat + 1.2, flat + aspect, grow, *still), samples=1)
    vectors = gaussian_filter(drawings, (0, 1, 1))[:, ::2, ::2].reshape(count, -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _views(shapes: np.ndarray, turns: Sequence[float], aspects: Sequence[float]) -> list[np.ndarray]:
    """Blurred shapes at equal stroke width: one `[N, D]` per pose."""
    grow = np.array([growth(shape, stroke=6.0, limit=3.0) for shape in shapes])
    blocks = [slice(i, i + 256) for i in range(0, len(shapes), 256)]  # few enough for the processor's cache
    return [
        np.concatenate([_blurred(shapes[block], grow[block], turn, aspect) for block in blocks])
        for turn in turns
        for aspect in aspects
    ]


def similarity(shapes: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Highest correlation of M shapes with N references over turned and stretched versions of the references: `[M, N]`."""
    (straight,) = _views(shapes, turns=[0.0], aspects=[1.0])
    highest = np.full((len(shapes), len(references)), -1.0)
    for view in _views(references, turns=[-0.2, 0.0, 0.2], aspects=[0.7, 0.85, 1.0, 1.2, 1.4]):
        np.maximum(highest, straight @ view.T, out=highest)
    return highest
