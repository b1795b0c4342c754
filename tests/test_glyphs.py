"""Glyphs: enough different characters, drawn the same everywhere, hard for pixels and split by script."""

import hashlib
import subprocess
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest

from tasks.episodes import FrozenEpisodes
from tasks.preparation import glyphs, outlines

# What the pinned fonts give. Generic, AVX2 and AVX-512 code of torch and numpy were seen to agree on it.
DIGEST = "06cc7b9916cbaec380001713ccfde799b7a66f3ef36b6013f156b74083bae60e"


@pytest.fixture(scope="module")
def built():
    return glyphs.build()


def test_counts(built):
    images, meta = built
    assert images.dtype == np.uint8 and images.shape[1:] == (20, 28, 28)
    assert len(images) == len(meta["class_names"]) == len(meta["groups"]) >= 1000
    assert meta["class_names"] == sorted(set(meta["class_names"]))
    assert all(
        name.startswith(group + "/U+")
        for name, group in zip(meta["class_names"], meta["groups"], strict=True)
    )


def test_scripts(built):
    """At least 12 scripts large enough for within-script episodes, most of them real writing systems."""
    sizes = Counter(built[1]["groups"])
    assert set(sizes) == set(glyphs.SCRIPTS) and len(sizes) >= 12 and min(sizes.values()) >= 10
    letters = Counter(c.script for c in glyphs.alphabet() if unicodedata.category(chr(c.code))[0] == "L")
    assert sum(letters[script] > 0.5 * size for script, size in sizes.items()) >= 12


def test_split_by_script(built):
    images, meta = built
    parts = meta["splits"]["default"]
    assert sorted(i for part in parts.values() for i in part) == list(range(len(images)))
    scripts = {part: {meta["groups"][i] for i in classes} for part, classes in parts.items()}
    assert not scripts["train"] & scripts["val"] and not (scripts["train"] | scripts["val"]) & scripts["test"]
    shares = [len(parts[part]) / len(images) for part in ("train", "val", "test")]
    assert shares == pytest.approx([0.65, 0.12, 0.23], abs=0.03)


def test_drawings_are_ink_on_empty_paper(built):
    """No blank, no duplicate; the ink is 255 and the paper 0, up to the smoothing of the edges."""
    images = built[0].reshape(-1, 28 * 28)
    assert len({image.tobytes() for image in images}) == len(images)
    assert images.min() == 0 and (images > 127).sum(axis=1).min() >= 8 and images.max(axis=1).min() > 200
    assert 0.05 < (images > 127).mean() < 0.25
    assert ((images > 20) & (images < 235)).mean() < 0.15


def test_same_bytes_everywhere(built):
    """The digest is that of the machine the data set was made on, and another process draws the same bytes."""
    images, meta = built
    assert meta["digest"] == hashlib.sha256(images.tobytes()).hexdigest() == DIGEST
    code = (
        "import hashlib, numpy as np; from tasks.preparation import glyphs, outlines\n"
        "shape = outlines.render(0x3B1, 'DejaVuSans')[None]\n"
        "drawn = glyphs.drawings(glyphs.Character(0x3B1, 'Greek and Coptic', shape))\n"
        "print(hashlib.sha256(drawn.tobytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    here = glyphs.drawings(
        glyphs.Character(0x3B1, "Greek and Coptic", outlines.render(0x3B1, "DejaVuSans")[None])
    )
    assert hashlib.sha256(here.tobytes()).hexdigest() == other


@pytest.mark.parametrize("cosine", [False, True])
def test_pixels_are_a_poor_guide(built, cosine):
    """Nearest neighbour in pixels: above chance and under 60 % at 5-way 1-shot."""
    images, meta = built
    pixels = images[meta["splits"]["default"]["test"]]
    episodes = FrozenEpisodes.draw(len(pixels), 20, 500, 5, 1, 15, "test")
    pixels = pixels.reshape(-1, 28 * 28) / 255.0
    if cosine:
        pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    distances = np.stack(
        [
            np.linalg.norm(pixels[q, None] - pixels[s], axis=-1)
            for s, q in zip(episodes.support, episodes.query, strict=True)
        ]
    )
    nearest = np.take_along_axis(episodes.support_y, distances.argmin(axis=-1), axis=1)
    assert 0.35 < (nearest == episodes.query_y).mean() < 0.6


def characters(*codes, face="DejaVuSans"):
    return [glyphs.Character(code, "test", outlines.render(code, face)[None]) for code in codes]


@pytest.mark.parametrize("pair", ["AΑ", "AА", "oO", "cC", "oо", ".●", "pр", "−–"])
def test_look_alikes_are_one_class(pair):
    first, second = map(ord, pair)
    assert [c.code for c in glyphs.select(characters(first, second))] == [first]


@pytest.mark.parametrize("pair", ["AB", "αβ", "בג", "ᐁᐃ", "aα", "EF", "←→", "نت"])
def test_different_characters_stay(pair):
    first, second = map(ord, pair)
    assert [c.code for c in glyphs.select(characters(first, second))] == [first, second]


def test_look_alike_in_a_second_face_counts():
    sans, serif = (outlines.render(ord("g"), face) for face in ("DejaVuSans", "DejaVuSerif"))
    other = glyphs.Character(0, "test", serif[None])
    assert len(glyphs.select([glyphs.Character(ord("g"), "test", sans[None]), other])) == 2
    assert len(glyphs.select([glyphs.Character(ord("g"), "test", np.stack([sans, serif])), other])) == 1


def test_a_face_that_shows_another_character_is_dropped():
    """DejaVu Serif holds ornate forms of some Georgian capitals that share no stroke with those of DejaVu Sans."""
    shapes = np.stack(
        [outlines.render(0x10A0, face) for face in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif")]
    )
    (kept,) = glyphs.select([glyphs.Character(0x10A0, "test", shapes)])
    assert np.array_equal(kept.shapes, shapes[:2])


def test_render_centres_and_scales_the_ink():
    """The em dash, the full stop and a wide arrow fill the same extent, in the middle."""
    for code in map(ord, "—.⟶gW"):
        rows, columns = np.nonzero(outlines.render(code, "DejaVuSans") > 0)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(outlines.EXTENT, abs=1)
        assert abs(rows.min() + rows.max() + 1 - outlines.CANVAS) <= 2
        assert abs(columns.min() + columns.max() + 1 - outlines.CANVAS) <= 2
    assert outlines.render(ord(" "), "DejaVuSans") is None
    assert outlines.render(0x4E00, "DejaVuSans") is None


def still(**changes):
    """The pose that changes nothing, for one drawing."""
    values = dict(turn=0.0, slant=0.0, size=1.0, aspect=1.0, grow=0.0) | changes
    shift = np.array([values.pop("shift", (0.0, 0.0))])
    pose = {name: np.array([value]) for name, value in values.items()}
    return outlines.Pose(**pose, shift=shift, warp=np.zeros((1, 2, outlines.WAVES, outlines.WAVES)))


def extent(drawing):
    rows, columns = np.nonzero(drawing > 0.5)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_poses_move_the_ink_as_stated():
    square = outlines.render(ord("■"), "DejaVuSans")[None]

    def draw(**pose):
        return outlines.draw(square, still(**pose), samples=4)[0]

    plain = draw()
    ink = outlines.INK
    assert plain.sum() == pytest.approx(ink**2, rel=0.03)
    assert np.abs(np.subtract(extent(plain), [4.5, 23.5, 4.5, 23.5])).max() <= 0.5
    assert np.allclose(draw(shift=(2.0, -3.0))[:-3, 2:], plain[3:, :-2], atol=1e-9)
    assert draw(size=0.5).sum() == pytest.approx(plain.sum() / 4, rel=0.03)
    top, bottom, left, right = extent(draw(aspect=1.44))
    assert (right - left) / (bottom - top) == pytest.approx(1.44, abs=0.1)
    grown = outlines.EXTENT / ink * 1.0  # one pixel of the drawing, on each side
    assert draw(grow=grown).sum() == pytest.approx((ink + 2) ** 2, rel=0.03)


def test_turn_is_clockwise_and_slant_leans_right():
    bar = outlines.render(ord("|"), "DejaVuSans")[None]
    for pose in (dict(turn=0.3), dict(slant=0.3)):
        drawing = outlines.draw(bar, still(**pose), samples=4)[0]
        columns = (drawing * np.arange(28)).sum(axis=1) / np.maximum(drawing.sum(axis=1), 1e-9)
        assert columns[8] - columns[20] == pytest.approx(
            12 * (np.tan(0.3) if "turn" in pose else 0.3), abs=0.3
        )


def test_growth_reaches_the_stroke_width():
    shape = outlines.render(ord("H"), "DejaVuSans")
    wider = shape + outlines.growth(shape, stroke=9.0, limit=5.0)
    assert 4 * wider[wider > 0].mean() == pytest.approx(9.0, rel=0.1)
    assert outlines.growth(shape, stroke=90.0, limit=1.5) == 1.5
