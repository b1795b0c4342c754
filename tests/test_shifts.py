"""Shifts against exact references: where a dot lands, what share of pixels changes, who decides the random choices."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from bench.sheets import episode_sheet, render, shift_sheet
from tasks.dataset import ImageData
from tasks.episodes import FrozenEpisodes
from tasks.images import decode_ink, pack_ink, resize, shrink_ink, to_uint8
from tasks.seeds import numpy_generator, seed_from
from tasks.shift_ops import INK_KEPT, Draws
from tasks.shifts import SHIFTS, apply, shifted, strength

ZIP = Path(os.environ.get("DATA_MIRROR", "../shared/data")) / "omniglot" / "images_background.zip"
GLYPH_SHIFTS = list(SHIFTS)
PHOTO_SHIFTS = [name for name in SHIFTS if name != "thickness"]
CASES = [("glyphs", name) for name in GLYPH_SHIFTS] + [("photos", name) for name in PHOTO_SHIFTS]


def _meta(kind, size, classes, **more):
    names = [f"script/char{i:02d}" for i in range(classes)]
    return {
        "name": "test", "kind": kind, "size": size, "class_names": names, "groups": ["script"] * classes,
        "splits": {"own": {"test": list(range(1, classes))}}, "default_split": "own", "rotations": 1, **more,
    }  # fmt: skip


def _drawn_data(ink):
    """bool `[classes, per_class, 105, 105]` -> ImageData with originals, class 0 in no part."""
    meta = _meta("glyphs", 28, len(ink), rotations=4, original_size=105)
    return ImageData(meta, shrink_ink(ink, 28), pack_ink(ink))


def _strokes(classes=4, per_class=5):
    """Zigzag drawings with strokes 4 pixels wide in the middle of a frame of 105."""
    grid = np.stack(np.mgrid[:105, :105], axis=-1)
    ink = np.zeros((classes, per_class, 105, 105), dtype=bool)
    for place in np.ndindex(classes, per_class):
        corners = numpy_generator("strokes", *place).uniform(25, 80, size=(5, 2))
        for start, end in zip(corners[:-1], corners[1:], strict=True):
            along = np.clip(((grid - start) @ (end - start)) / ((end - start) ** 2).sum(), 0, 1)[..., None]
            ink[place] |= np.linalg.norm(grid - start - along * (end - start), axis=-1) < 2
    return ink


@pytest.fixture(scope="module", params=["strokes", "omniglot"])
def drawings(request):
    if request.param == "strokes":
        return _drawn_data(_strokes()).split("test")
    if not ZIP.exists():
        pytest.skip("needs the real Omniglot: set DATA_MIRROR")
    with zipfile.ZipFile(ZIP) as archive:
        names = sorted(name for name in archive.namelist() if "/Greek/" in name and name.endswith(".png"))[
            :160
        ]
        ink = np.stack([decode_ink(archive.read(name), name) for name in names])
    return _drawn_data(ink.reshape(8, 20, 105, 105)).split("test")


@pytest.fixture(scope="module")
def photos():
    noise = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=84, mode="bicubic").clamp(0, 1)
    pixels = to_uint8(smooth).permute(0, 2, 3, 1).numpy().reshape(3, 10, 84, 84, 3)
    return ImageData(_meta("photos", 84, 3), pixels).split("test")


def _all_ids(split):
    return torch.arange(split.images.shape[0] * split.images.shape[1])


def _batch(kind, drawings, photos):
    split = drawings if kind == "glyphs" else photos
    return split.gather(_all_ids(split)[:20]), torch.arange(100, 120)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_severity_zero_is_the_identity_bit_for_bit(kind, name, drawings, photos):
    images, ids = _batch(kind, drawings, photos)
    assert torch.equal(apply(images, name, strength(name, 0, kind), kind=kind, ids=ids), images)
    split = drawings if kind == "glyphs" else photos
    ids = _all_ids(split).flip(0)
    assert torch.equal(shifted(split, ids, name, strength(name, 0, kind)), split.images.flatten(0, 1)[ids])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_distance_to_the_original_grows_with_severity(kind, name, drawings, photos):
    split = drawings if kind == "glyphs" else photos
    ids, clean = _all_ids(split), split.images.flatten(0, 1)
    values = [strength(name, severity, kind) for severity in range(1, 6)]
    distances = [_distance(shifted(split, ids, name, value), clean, kind).item() for value in values]
    assert distances[0] > 0 and distances == sorted(distances) and len(set(distances)) == 5


def _distance(images, clean, kind):
    """Mean over pixels, for drawings of cumulated differences: strokes that no longer overlap can still move apart."""
    difference = images.double() - clean
    return (difference.cumsum(2).cumsum(3) if kind == "glyphs" else difference).abs().mean()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_output_is_clamped_float_of_the_same_shape(kind, name, drawings, photos):
    images, ids = _batch(kind, drawings, photos)
    result = apply(images, name, strength(name, 5, kind), kind=kind, ids=ids)
    assert result.shape == images.shape and result.dtype == torch.float32
    assert 0 <= result.min() and result.max() <= 1


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_an_image_is_shifted_alike_alone_in_a_batch_and_in_any_order(kind, name, drawings, photos):
    images, ids = _batch(kind, drawings, photos)
    value = strength(name, 4, kind)
    together = apply(images, name, value, kind=kind, ids=ids)
    alone = [apply(images[i : i + 1], name, value, kind=kind, ids=ids[i : i + 1]) for i in range(len(ids))]
    assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    assert_close(
        apply(images[order], name, value, kind=kind, ids=ids[order]), together[order], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", GLYPH_SHIFTS)
def test_shifted_pool_does_not_depend_on_chunks_or_part(name, drawings):
    value, ids = strength(name, 3, "glyphs"), _all_ids(drawings)
    pool = shifted(drawings, ids, name, value)
    assert torch.equal(shifted(drawings, ids, name, value), pool)
    assert (shifted(drawings, ids, name, value, chunk=7).int() - pool.int()).abs().max() <= 1
    drawings.data.meta["splits"]["late"] = {"test": drawings.base_classes[1:]}
    later = drawings.data.split("test", split="late")
    upright = len(later.base_classes) * later.images.shape[1]
    again = shifted(later, torch.arange(upright), name, value)
    assert (again.int() - pool[drawings.images.shape[1] :][:upright].int()).abs().max() <= 1


@pytest.mark.parametrize("name", ["translate", "noise", "impulse", "occlude"])
def test_seed_and_id_decide_the_random_choices_and_nothing_else(name, drawings):
    image = drawings.gather(torch.tensor([3])).expand(40, -1, -1, -1)
    ids, value = torch.arange(40), strength(name, 3, "glyphs")
    first = apply(image, name, value, kind="glyphs", ids=ids, seed=1)
    torch.manual_seed(9)
    assert torch.equal(apply(image, name, value, kind="glyphs", ids=ids, seed=1), first)
    assert len(first.flatten(1).unique(dim=0)) > 20
    assert not torch.equal(apply(image, name, value, kind="glyphs", ids=ids, seed=2), first)


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_makes_the_same_images(photos):
    images, ids = photos.gather(_all_ids(photos)), torch.arange(30)
    for kind, name in CASES:
        value = strength(name, 4, kind)
        there = apply(images.cuda(), name, value, kind=kind, ids=ids.cuda()).cpu()
        assert_close(there, apply(images, name, value, kind=kind, ids=ids), atol=1e-4, rtol=0, msg=name)


def _centres_of_mass(images):
    """`[n, 2]`: x, y relative to the image's centre."""
    mass, size = images.float().sum((1, 2, 3)), images.shape[-1]
    axis = torch.arange(size) - (size - 1) / 2
    x, y = (images.float().sum((1, other)) @ axis / mass for other in (2, 3))
    return torch.stack([x, y], dim=1)


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
    moved = apply(dots, name, value, kind="glyphs", ids=torch.arange(5))
    expected = (places - 24.0) @ torch.tensor(matrix, dtype=torch.float32).T
    assert_close(_centres_of_mass(moved), expected, atol=0.03, rtol=0)
    assert_close(moved.sum((1, 2, 3)), dots.sum((1, 2, 3)) * np.linalg.det(matrix), atol=0, rtol=0.05)


def test_negative_shear_leans_right_and_positive_rotation_turns_counter_clockwise():
    bar = torch.zeros(1, 1, 41, 41)
    bar[..., 5:36, 19:22] = 1
    for name, value in (("shear", -math.pi / 6), ("rotate", -0.3)):
        turned = apply(bar, name, value, kind="glyphs", ids=torch.zeros(1, dtype=torch.int64))
        top, bottom = (_centres_of_mass(part)[0, 0] for part in (turned * _upper(), turned * (1 - _upper())))
        assert top > 2 and bottom < -2


def _upper():
    return (torch.arange(41) < 20).float().view(1, 1, -1, 1)


def test_originals_are_turned_with_their_class_and_lengths_scale_with_the_resolution():
    ink = np.zeros((2, 3, 105, 105), dtype=bool)
    ink[:, :, 40:55, 64:79] = True
    split = _drawn_data(ink).split("test")
    ids = _all_ids(split)
    clean = _centres_of_mass(split.images.flatten(0, 1))
    place = torch.tensor([19.0, -5.0]) / 3.75
    turned = [place, torch.stack([place[1], -place[0]]), -place, torch.stack([-place[1], place[0]])]
    assert_close(clean, torch.stack(turned).repeat_interleave(3, dim=0), atol=0.02, rtol=0)
    moved = _centres_of_mass(shifted(split, ids, "translate", 3.0)) - clean
    assert_close(moved.norm(dim=1), torch.full((12,), 3.0), atol=0.05, rtol=0)
    assert len(moved.round(decimals=2).unique(dim=0)) == 12
    sheared = _centres_of_mass(shifted(split, ids, "shear", math.pi / 8))
    expected = clean + torch.stack([clean[:, 1] * math.tan(math.pi / 8), torch.zeros(12)], dim=1)
    assert_close(sheared, expected, atol=0.05, rtol=0)


def test_an_imperceptible_shift_of_the_originals_gives_the_prepared_images(drawings):
    """The way over the originals (unpack, turn, shift, resize, round) adds nothing of its own."""
    ids = _all_ids(drawings)
    for name, value in (("shear", 1e-6), ("thickness", 0.1), ("smear", 0.1)):
        difference = shifted(drawings, ids, name, value).int() - drawings.images.flatten(0, 1).int()
        assert difference.abs().max() <= 1, name


def test_geometry_uses_originals_and_pixel_shifts_the_prepared_image(drawings):
    ids = torch.tensor([0, 7])
    images, stable = drawings.gather(ids), torch.tensor([drawings.base_classes[0] * drawings.images.shape[1]])
    contrast = apply(images, "contrast", 0.4, kind="glyphs", ids=ids)
    assert torch.equal(shifted(drawings, ids, "contrast", 0.4), to_uint8(contrast))
    noisy = apply(images[:1], "noise", 0.2, kind="glyphs", ids=stable)
    assert torch.equal(shifted(drawings, ids[:1], "noise", 0.2), to_uint8(noisy))
    original = torch.from_numpy(
        np.unpackbits(drawings.data.originals[drawings.base_classes[0], 0], count=105 * 105)
    )
    sheared = apply(original.view(1, 1, 105, 105).float(), "shear", 0.3, kind="glyphs", ids=stable)
    assert torch.equal(shifted(drawings, ids[:1], "shear", 0.3), to_uint8(resize(sheared, 28)))


def test_noise_has_the_sigma_that_it_says():
    grey = torch.full((50, 3, 40, 40), 0.5)
    noise = apply(grey, "noise", 0.08, kind="photos", ids=torch.arange(50)) - 0.5
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.08, rel=0.01)


def test_impulse_replaces_the_share_that_it_says_and_keeps_the_rest():
    grey = torch.full((50, 3, 40, 40), 0.5)
    result = apply(grey, "impulse", 0.17, kind="photos", ids=torch.arange(50))
    assert sorted(result.unique().tolist()) == [0, 0.5, 1]
    for level in (0, 1):
        assert (result == level).float().mean().item() == pytest.approx(0.085, abs=0.003)


@pytest.mark.parametrize("side", [4, 12])
def test_occlusion_of_a_glyph_hides_a_square_with_some_ink_but_not_all(side, drawings):
    images = drawings.gather(_all_ids(drawings)).clamp(min=0.01)
    result = apply(images, "occlude", side, kind="glyphs", ids=torch.arange(len(images)))
    hidden = (result == 0).squeeze(1)
    assert (hidden.sum((1, 2)) == side**2).all()
    for axis in (1, 2):
        assert (hidden.any(axis).sum(1) == side).all()
    assert torch.equal(result[~hidden.unsqueeze(1)], images[~hidden.unsqueeze(1)])
    ink = (images > images.amax((1, 2, 3), keepdim=True) / 2).squeeze(1)
    assert ((ink & hidden).sum((1, 2)) > 0).all() and ((ink & ~hidden).sum((1, 2)) > 0).all()


def test_occlusion_of_a_photo_has_its_mean_colour(photos):
    images = photos.gather(_all_ids(photos))
    result = apply(images, "occlude", 28, kind="photos", ids=_all_ids(photos))
    same = result == images.mean((2, 3), keepdim=True)
    assert (same.all(1).sum((1, 2)) == 28**2).all()
    assert len((~same).any(1).flatten(1).unique(dim=0)) == len(images)


def test_contrast_is_taken_around_the_image_mean(photos):
    images = photos.gather(_all_ids(photos))
    mean = images.mean((2, 3), keepdim=True)
    result = apply(images, "contrast", 0.3, kind="photos", ids=_all_ids(photos))
    assert_close(result, mean + 0.3 * (images - mean))


def test_smear_keeps_the_ink_and_drags_it_one_way_only():
    dot = torch.zeros(1, 1, 41, 41)
    dot[..., 20, 20] = 1
    trail = apply(dot, "smear", 10 * math.sqrt(2), kind="glyphs", ids=torch.zeros(1, dtype=torch.int64))[0, 0]
    expected = torch.zeros(41, 41)
    for step in range(10):
        expected[20 - step, 20 + step] = 1 - step / 10
    assert_close(trail, expected, atol=1e-6, rtol=0)


def test_photo_smear_and_blur_keep_the_mean_and_blur_has_its_width():
    dot = torch.zeros(1, 3, 41, 41)
    dot[..., 20, 20] = 1
    ids = torch.zeros(1, dtype=torch.int64)
    smeared, blurred = (
        apply(dot, name, 3.0 + 6 * (name == "smear"), kind="photos", ids=ids) for name in ("smear", "blur")
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
    assert apply(band, "thickness", 3.0, kind="glyphs", ids=ids)[..., 50].sum() == 26
    assert apply(band, "thickness", 3.0, kind="glyphs", ids=ids).sum() < 26 * 66, "a disk rounds corners"
    assert apply(band, "thickness", -3.0, kind="glyphs", ids=ids)[..., 50].sum() == 14
    ids = _all_ids(drawings)
    clean = drawings.images.flatten(0, 1).float().sum((1, 2, 3))
    masses = [
        shifted(drawings, ids, "thickness", r).float().sum((1, 2, 3)) / clean
        for r in (-3, -0.3, 0.3, 0.9, 1.5)
    ]
    assert ((masses[0] > INK_KEPT - 0.02) & (masses[0] < INK_KEPT + 0.02)).all()
    assert all((thin < thick).all() for thin, thick in zip(masses[1:-1], masses[2:], strict=True))


def test_thickness_of_small_drawings_agrees_with_that_of_their_originals():
    """Without originals the prepared image is upsampled; its softer strokes grow a little less."""
    split = _drawn_data(_strokes()).split("test")
    ids = _all_ids(split)
    small = apply(split.gather(ids), "thickness", 1.2, kind="glyphs", ids=ids).sum((1, 2, 3))
    full = shifted(split, ids, "thickness", 1.2).float().sum((1, 2, 3)) / 255
    assert ((small > 0.75 * full) & (small < full)).all()


def test_every_shift_has_five_levels_and_thickness_is_for_glyphs():
    assert list(SHIFTS) == (
        "smear shear scale rotate translate blur noise impulse occlude contrast thickness".split()
    )
    for name, shift in SHIFTS.items():
        assert shift.name == name and set(shift.levels) == (
            {"glyphs"} if name == "thickness" else {"glyphs", "photos"}
        )
        assert all(len(levels) == 5 for levels in shift.levels.values())
    assert strength("shear", 5, "glyphs") == pytest.approx(math.pi / 4)
    assert strength("scale", 0, "photos") == 1 and strength("rotate", 3, "photos") == 0.45


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: strength("smaer", 1, "glyphs"), ["'smaer'", "smear", "thickness"]),
        (lambda: strength("thickness", 1, "photos"), ["'thickness'", "photos", "contrast"]),
        (lambda: strength("shear", 1, "sounds"), ["'sounds'", "glyphs, photos"]),
        (lambda: strength("shear", 6, "glyphs"), ["'shear'", "0 to 5", "6"]),
        (lambda: strength("shear", 1.5, "glyphs"), ["'shear'", "0 to 5", "1.5"]),
        (lambda: _apply_to_blank("impulse", 1.2), ["'impulse'", "from 0 to 1", "1.2"]),
        (lambda: _apply_to_blank("blur", math.nan), ["'blur'", "nan"]),
        (lambda: _apply_to_blank("blur", 1.0, torch.uint8), ["'blur'", "float32", "uint8"]),
    ],
)  # fmt: skip
def test_errors_name_key_value_and_what_is_allowed(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


def _apply_to_blank(name, value, dtype=torch.float32):
    return apply(torch.zeros(2, 1, 28, 28, dtype=dtype), name, value, kind="glyphs", ids=torch.arange(2))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_blank_and_tiny_strengths_do_no_harm(kind, name):
    blank = torch.zeros(2, 3, 84, 84)
    for value in (strength(name, 5, kind), SHIFTS[name].identity + 1e-3):
        assert apply(blank, name, value, kind=kind, ids=torch.arange(2)).isfinite().all()


def test_sheets_render_the_same_bytes_and_show_every_shift(drawings):
    sheet = shift_sheet(drawings)
    labels = {axes.get_ylabel() for axes in sheet.axes}
    assert {shift.title for shift in SHIFTS.values()} <= labels and len(sheet.axes) == 6 * len(SHIFTS)
    few = [render(shift_sheet(drawings, ["blur", "shear"]), "png", dpi=40) for _ in range(2)]
    assert few[0] == few[1] and few[0].startswith(b"\x89PNG")
    assert b"<svg" in render(shift_sheet(drawings, ["blur"]), "svg")
    with pytest.raises(ValueError, match="'sheer'.*shear"):
        shift_sheet(drawings, ["sheer"])


def test_photo_sheet_leaves_out_what_is_for_glyphs_only(photos):
    assert len(shift_sheet(photos).axes) == 6 * len(PHOTO_SHIFTS)


def test_episode_sheet_puts_each_class_in_a_column(drawings):
    episodes = FrozenEpisodes.draw(*drawings.images.shape[:2], 2, 5, 2, 2, "sheet")
    sheet = episode_sheet(drawings, episodes, episode=1)
    assert len(sheet.axes) == 5 * (2 + 2)
    chosen = episodes.support[1][episodes.support_y[1] == 3][0] // drawings.images.shape[1]
    assert (
        sheet.axes[3]
        .get_title()
        .endswith(drawings.class_names[chosen].split("/")[1] + _turn(drawings, chosen))
    )


def _turn(split, position):
    quarter = position // len(split.base_classes)
    return f" {90 * quarter}°" if quarter else ""
