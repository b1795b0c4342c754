"""Shift operations against exact references: where a dot lands, what share of pixels changes, which numbers are drawn."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tasks.seeds import seed_from
from tasks.shift_ops import INK_KEPT, Draws
from tasks.shifts import apply, shifted
from tests.drawings import all_ids, centres_of_mass, omniglot, photos, strokes


@pytest.fixture(params=[strokes, omniglot], ids=["strokes", "omniglot"])
def drawings(request):
    return request.param()


@pytest.fixture(name="photos")
def photo_split():
    return photos()


def test_draws_equal_splitmix64_in_exact_integers():
    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    golden, ids = 0x9E3779B97F4A7C15, [0, 1, 7, 2**40 + 3]
    draws = Draws(torch.tensor(ids), "shift", "noise", 5).uniform("noise", 2, 3)
    for row, number in zip(draws.flatten(1).tolist(), ids, strict=True):
        start = mix((mix(number * golden % 2**64) + seed_from("shift", "noise", 5, "noise")) % 2**64)
        words = [mix((start + k * golden) % 2**64) >> 11 for k in range(1, 7)]
        assert row == [(word + 0.5) * 2.0**-53 for word in words]


def test_draws_are_uniform_and_normal_within_and_across_images():
    draws = Draws(torch.arange(1000), "x", 0)
    for values, mean, deviation in (
        (draws.uniform("u", 1000), 0.5, 12**-0.5),
        (draws.normal("n", 1000), 0, 1),
    ):
        assert values.mean().item() == pytest.approx(mean, abs=0.004)
        assert values.std().item() == pytest.approx(deviation, abs=0.004)
        for shifted_values in (values.roll(1, 0), values.roll(1, 1)):
            assert (
                abs(torch.corrcoef(torch.stack([values.flatten(), shifted_values.flatten()]))[0, 1]) < 0.004
            )


AFFINE = {
    "shear": [
        (a, [[1, math.tan(a)], [0, 1]]) for a in (-math.pi / 4, -math.pi / 8, math.pi / 6, math.atan(0.4))
    ],
    "scale": [(s, [[s, 0], [0, s]]) for s in (1 / 3, 0.5, 2 / 3, 0.9, 1.5, 2)],
    "rotate": [(a, [[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) for a in (-0.3, 0.2, 1.0)],
}


@pytest.mark.parametrize(
    ("name", "value", "matrix"), [(n, v, m) for n, rows in AFFINE.items() for v, m in rows]
)
def test_a_dot_lands_where_the_map_sends_it(name, value, matrix):
    places = torch.tensor([(24, 24), (30, 20), (20, 27), (18, 22), (26, 30)])
    dots = torch.zeros(5, 1, 49, 49)
    for image, (x, y) in zip(dots, places.tolist(), strict=True):
        rows, columns = torch.meshgrid(torch.arange(49) - y, torch.arange(49) - x, indexing="ij")
        image[0] = torch.exp(-(rows**2 + columns**2) / 6)
    moved = apply(dots, name, value, imagery="glyphs", ids=torch.arange(5))
    expected = (places - 24.0) @ torch.tensor(matrix, dtype=torch.float32).T
    assert_close(centres_of_mass(moved), expected, atol=0.03, rtol=0)
    assert_close(moved.sum((1, 2, 3)), dots.sum((1, 2, 3)) * np.linalg.det(matrix), atol=0, rtol=0.05)


def test_negative_shear_leans_right_and_positive_rotation_turns_counter_clockwise():
    bar = torch.zeros(1, 1, 41, 41)
    bar[..., 5:36, 19:22] = 1
    for name, value in (("shear", -math.pi / 6), ("rotate", -0.3)):
        turned = apply(bar, name, value, imagery="glyphs", ids=torch.zeros(1, dtype=torch.int64))
        top, bottom = (centres_of_mass(part)[0, 0] for part in (turned * _upper(), turned * (1 - _upper())))
        assert top > 2 and bottom < -2


def _upper():
    return (torch.arange(41) < 20).float().view(1, 1, -1, 1)


def test_noise_has_the_sigma_that_it_says():
    grey = torch.full((50, 3, 40, 40), 0.5)
    noise = apply(grey, "noise", 0.08, imagery="photos", ids=torch.arange(50)) - 0.5
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.08, rel=0.01)


def test_impulse_replaces_the_share_that_it_says_and_keeps_the_rest():
    grey = torch.full((50, 3, 40, 40), 0.5)
    result = apply(grey, "impulse", 0.17, imagery="photos", ids=torch.arange(50))
    assert sorted(result.unique().tolist()) == [0, 0.5, 1]
    for level in (0, 1):
        assert (result == level).float().mean().item() == pytest.approx(0.085, abs=0.003)


@pytest.mark.parametrize("side", [4, 12])
def test_occlusion_of_a_glyph_hides_a_square_with_some_ink_but_not_all(side, drawings):
    images = drawings.gather(all_ids(drawings)).clamp(min=0.01)
    result = apply(images, "occlude", side, imagery="glyphs", ids=torch.arange(len(images)))
    hidden = (result == 0).squeeze(1)
    assert (hidden.sum((1, 2)) == side**2).all()
    for axis in (1, 2):
        assert (hidden.any(axis).sum(1) == side).all()
    assert torch.equal(result[~hidden.unsqueeze(1)], images[~hidden.unsqueeze(1)])
    ink = (images > images.amax((1, 2, 3), keepdim=True) / 2).squeeze(1)
    assert ((ink & hidden).sum((1, 2)) > 0).all() and ((ink & ~hidden).sum((1, 2)) > 0).all()


def test_occlusion_of_a_photo_has_its_mean_colour(photos):
    images = photos.gather(all_ids(photos))
    result = apply(images, "occlude", 28, imagery="photos", ids=all_ids(photos))
    same = result == images.mean((2, 3), keepdim=True)
    assert (same.all(1).sum((1, 2)) == 28**2).all()
    assert len((~same).any(1).flatten(1).unique(dim=0)) == len(images)


def test_contrast_is_taken_around_the_image_mean(photos):
    images = photos.gather(all_ids(photos))
    mean = images.mean((2, 3), keepdim=True)
    result = apply(images, "contrast", 0.3, imagery="photos", ids=all_ids(photos))
    assert_close(result, mean + 0.3 * (images - mean))


def test_smear_keeps_the_ink_and_drags_it_one_way_only():
    dot = torch.zeros(1, 1, 41, 41)
    dot[..., 20, 20] = 1
    trail = apply(dot, "smear", 10 * math.sqrt(2), imagery="glyphs", ids=torch.zeros(1, dtype=torch.int64))[
        0, 0
    ]
    expected = torch.zeros(41, 41)
    for step in range(10):
        expected[20 - step, 20 + step] = 1 - step / 10
    assert_close(trail, expected, atol=1e-6, rtol=0)


def test_photo_smear_and_blur_keep_the_mean_and_blur_has_its_width():
    dot = torch.zeros(1, 3, 41, 41)
    dot[..., 20, 20] = 1
    ids = torch.zeros(1, dtype=torch.int64)
    smeared, blurred = (
        apply(dot, name, 3.0 + 6 * (name == "smear"), imagery="photos", ids=ids) for name in ("smear", "blur")
    )
    for image in (smeared, blurred):
        assert image.sum().item() == pytest.approx(3, rel=1e-3)
    x, y = np.mgrid[-20:21, -20:21]
    profile = smeared[0, 0].numpy()
    assert (profile * x * y).sum() < -3 and profile[18, 22] < profile[22, 18]
    assert (blurred[0, 0].numpy() * x**2).sum() == pytest.approx(9, rel=0.05)


def test_thickness_grows_strokes_by_its_radius_and_thinning_stops_in_time(drawings):
    band = torch.zeros(1, 1, 100, 100)
    band[..., 40:60, 20:80] = 1
    ids = torch.zeros(1, dtype=torch.int64)
    assert apply(band, "thickness", 3.0, imagery="glyphs", ids=ids)[..., 50].sum() == 26
    assert apply(band, "thickness", 3.0, imagery="glyphs", ids=ids).sum() < 26 * 66, "a disk rounds corners"
    assert apply(band, "thickness", -3.0, imagery="glyphs", ids=ids)[..., 50].sum() == 14
    ids = all_ids(drawings)
    clean = drawings.images.flatten(0, 1).float().sum((1, 2, 3))
    masses = [
        shifted(drawings, ids, "thickness", r).float().sum((1, 2, 3)) / clean
        for r in (-3, -0.3, 0.3, 0.9, 1.5)
    ]
    assert ((masses[0] > INK_KEPT - 0.02) & (masses[0] < INK_KEPT + 0.02)).all()
    assert all((thin < thick).all() for thin, thick in zip(masses[1:-1], masses[2:], strict=True))


def test_thickness_of_small_drawings_agrees_with_that_of_their_originals():
    """Without originals the prepared image is upsampled; its softer strokes grow a little less."""
    split = strokes()
    ids = all_ids(split)
    small = apply(split.gather(ids), "thickness", 1.2, imagery="glyphs", ids=ids).sum((1, 2, 3))
    full = shifted(split, ids, "thickness", 1.2).float().sum((1, 2, 3)) / 255
    assert ((small > 0.75 * full) & (small < full)).all()
