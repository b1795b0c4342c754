"""What every shift keeps: identity at severity 0, growth with severity, independence of batch, order, chunks and part."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tasks.images import resize, to_uint8
from tasks.shift_table import SHIFTS, strength
from tasks.shifts import apply, shifted
from tests.drawings import all_ids, centres_of_mass, drawn_split, omniglot, photos, strokes

GLYPH_SHIFTS = list(SHIFTS)
PHOTO_SHIFTS = [name for name in SHIFTS if name != "thickness"]
CASES = [("glyphs", name) for name in GLYPH_SHIFTS] + [("photos", name) for name in PHOTO_SHIFTS]


@pytest.fixture(params=[strokes, omniglot], ids=["strokes", "omniglot"])
def drawings(request):
    return request.param()


@pytest.fixture(name="photos")
def photo_split():
    return photos()


def _batch(imagery, drawings, photos):
    split = drawings if imagery == "glyphs" else photos
    return split.gather(all_ids(split)[:20]), torch.arange(100, 120)


@pytest.mark.parametrize(("imagery", "name"), CASES)
def test_severity_zero_is_the_identity_bit_for_bit(imagery, name, drawings, photos):
    images, ids = _batch(imagery, drawings, photos)
    assert torch.equal(apply(images, name, strength(name, 0, imagery), imagery=imagery, ids=ids), images)
    split = drawings if imagery == "glyphs" else photos
    ids = all_ids(split).flip(0)
    assert torch.equal(shifted(split, ids, name, strength(name, 0, imagery)), split.images.flatten(0, 1)[ids])


@pytest.mark.parametrize(("imagery", "name"), CASES)
def test_distance_to_the_original_grows_with_severity(imagery, name, drawings, photos):
    split = drawings if imagery == "glyphs" else photos
    ids, clean = all_ids(split), split.images.flatten(0, 1)
    values = [strength(name, severity, imagery) for severity in range(1, 6)]
    distances = [_distance(shifted(split, ids, name, value), clean, imagery).item() for value in values]
    assert distances[0] > 0 and distances == sorted(distances) and len(set(distances)) == 5


def _distance(images, clean, imagery):
    """Mean over pixels, for drawings of cumulated differences: strokes that no longer overlap can still move apart."""
    difference = images.double() - clean
    return (difference.cumsum(2).cumsum(3) if imagery == "glyphs" else difference).abs().mean()


@pytest.mark.parametrize(("imagery", "name"), CASES)
def test_output_is_clamped_float_of_the_same_shape(imagery, name, drawings, photos):
    images, ids = _batch(imagery, drawings, photos)
    result = apply(images, name, strength(name, 5, imagery), imagery=imagery, ids=ids)
    assert result.shape == images.shape and result.dtype == torch.float32
    assert 0 <= result.min() and result.max() <= 1


@pytest.mark.parametrize(("imagery", "name"), CASES)
def test_an_image_is_shifted_alike_alone_in_a_batch_and_in_any_order(imagery, name, drawings, photos):
    images, ids = _batch(imagery, drawings, photos)
    value = strength(name, 4, imagery)
    together = apply(images, name, value, imagery=imagery, ids=ids)
    alone = [
        apply(images[i : i + 1], name, value, imagery=imagery, ids=ids[i : i + 1]) for i in range(len(ids))
    ]
    assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    assert_close(
        apply(images[order], name, value, imagery=imagery, ids=ids[order]), together[order], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", GLYPH_SHIFTS)
def test_shifted_pool_does_not_depend_on_chunks_or_part(name, drawings):
    value, ids = strength(name, 3, "glyphs"), all_ids(drawings)
    pool = shifted(drawings, ids, name, value)
    assert torch.equal(shifted(drawings, ids, name, value), pool)
    assert (shifted(drawings, ids, name, value, chunk=7).int() - pool.int()).abs().max() <= 1
    later = drawings.data.split("test", split="late")
    upright = len(later.base_classes) * later.images.shape[1]
    again = shifted(later, torch.arange(upright), name, value)
    assert (again.int() - pool[drawings.images.shape[1] :][:upright].int()).abs().max() <= 1


@pytest.mark.parametrize("name", ["translate", "noise", "impulse", "occlude"])
def test_seed_and_id_decide_the_random_choices_and_nothing_else(name, drawings):
    image = drawings.gather(torch.tensor([3])).expand(40, -1, -1, -1)
    ids, value = torch.arange(40), strength(name, 3, "glyphs")
    first = apply(image, name, value, imagery="glyphs", ids=ids, seed=1)
    torch.manual_seed(9)
    assert torch.equal(apply(image, name, value, imagery="glyphs", ids=ids, seed=1), first)
    assert len(first.flatten(1).unique(dim=0)) > 20
    assert not torch.equal(apply(image, name, value, imagery="glyphs", ids=ids, seed=2), first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_makes_the_same_images(drawings, photos):
    for imagery, name in CASES:
        images, ids = _batch(imagery, drawings, photos)
        value = strength(name, 4, imagery)
        there = apply(images.cuda(), name, value, imagery=imagery, ids=ids.cuda()).cpu()
        assert_close(there, apply(images, name, value, imagery=imagery, ids=ids), atol=1e-4, rtol=0, msg=name)


def test_originals_are_turned_with_their_class_and_lengths_scale_with_the_resolution():
    ink = np.zeros((2, 3, 105, 105), dtype=bool)
    ink[:, :, 40:55, 64:79] = True
    split = drawn_split(ink)
    ids = all_ids(split)
    clean = centres_of_mass(split.images.flatten(0, 1))
    place = torch.tensor([19.0, -5.0]) / 3.75
    turned = [place, torch.stack([place[1], -place[0]]), -place, torch.stack([-place[1], place[0]])]
    assert_close(clean, torch.stack(turned).repeat_interleave(3, dim=0), atol=0.02, rtol=0)
    moved = centres_of_mass(shifted(split, ids, "translate", 3.0)) - clean
    assert_close(moved.norm(dim=1), torch.full((12,), 3.0), atol=0.05, rtol=0)
    assert len(moved.round(decimals=2).unique(dim=0)) == 12
    sheared = centres_of_mass(shifted(split, ids, "shear", math.pi / 8))
    expected = clean + torch.stack([clean[:, 1] * math.tan(math.pi / 8), torch.zeros(12)], dim=1)
    assert_close(sheared, expected, atol=0.05, rtol=0)


def test_an_imperceptible_shift_of_the_originals_gives_the_prepared_images(drawings):
    """The way over the originals (unpack, turn, shift, resize, round) adds nothing of its own."""
    ids = all_ids(drawings)
    for name, value in (("shear", 1e-6), ("thickness", 0.1), ("smear", 0.1)):
        difference = shifted(drawings, ids, name, value).int() - drawings.images.flatten(0, 1).int()
        assert difference.abs().max() <= 1, name


def test_geometry_uses_originals_and_pixel_shifts_the_prepared_image(drawings):
    ids = torch.tensor([0, 7])
    images, stable = drawings.gather(ids), torch.tensor([drawings.base_classes[0] * drawings.images.shape[1]])
    contrast = apply(images, "contrast", 0.4, imagery="glyphs", ids=ids)
    assert torch.equal(shifted(drawings, ids, "contrast", 0.4), to_uint8(contrast))
    noisy = apply(images[:1], "noise", 0.2, imagery="glyphs", ids=stable)
    assert torch.equal(shifted(drawings, ids[:1], "noise", 0.2), to_uint8(noisy))
    original = torch.from_numpy(
        np.unpackbits(drawings.data.originals[drawings.base_classes[0], 0], count=105 * 105)
    )
    sheared = apply(original.view(1, 1, 105, 105).float(), "shear", 0.3, imagery="glyphs", ids=stable)
    assert torch.equal(shifted(drawings, ids[:1], "shear", 0.3), to_uint8(resize(sheared, 28)))


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
    return apply(torch.zeros(2, 1, 28, 28, dtype=dtype), name, value, imagery="glyphs", ids=torch.arange(2))


@pytest.mark.parametrize(("imagery", "name"), CASES)
def test_blank_and_tiny_strengths_do_no_harm(imagery, name):
    blank = torch.zeros(2, 3, 84, 84)
    for value in (strength(name, 5, imagery), SHIFTS[name].identity + 1e-3):
        assert apply(blank, name, value, imagery=imagery, ids=torch.arange(2)).isfinite().all()
