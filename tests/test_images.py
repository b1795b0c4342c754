"""Pixels: resizing, packing, one-bit drawings, the content digest."""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tasks.images import content_digest, pack_ink, resize, shrink_ink, unpack_ink
from tasks.preparation.decode import decode_ink


def test_resize_is_the_exact_area_average():
    images = torch.rand(2, 3, 12, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(images, 4), F.avg_pool2d(images, (3, 2)))
    odd = torch.rand(5, 1, 105, 105, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fine = odd.repeat_interleave(4, -1).repeat_interleave(
        4, -2
    )  # 105 * 4 = 28 * 15: every window is whole pixels
    torch.testing.assert_close(resize(odd, 28), F.avg_pool2d(fine, 15))


def test_resize_to_the_same_size_changes_no_bit():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize(images, 28), images)


def test_one_bit_drawings_are_averaged_not_sampled():
    ink = np.zeros((105, 105), dtype=bool)
    ink[:, 50] = True
    buffer = io.BytesIO()
    Image.fromarray(~ink).save(buffer, "png")
    assert Image.open(io.BytesIO(buffer.getvalue())).mode == "1"
    decoded = decode_ink(buffer.getvalue(), "x.png")
    np.testing.assert_array_equal(decoded, ink)
    small = shrink_ink(decoded, 28)
    assert (
        small.dtype == np.uint8 and small[:, 13].tolist() == [68] * 28
    )  # 255 / 3.75: a quarter of full ink, not 0 or 255
    trap = Image.open(io.BytesIO(buffer.getvalue())).resize((28, 28), Image.Resampling.LANCZOS)
    assert set(np.unique(np.asarray(trap))) <= {False, True}  # why it has to be converted first


def test_packed_ink_comes_back():
    ink = np.random.default_rng(0).random((3, 2, 105, 105)) < 0.1
    packed = pack_ink(ink)
    assert packed.shape == (3, 2, 1379)
    np.testing.assert_array_equal(unpack_ink(packed, 105), ink)


def test_the_digest_sees_names_pixels_shapes_and_order():
    a, b = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    variants = [
        [("a", a), ("b", b)],
        [("b", b), ("a", a)],
        [("a", b), ("b", b)],
        [("a", a), ("c", b)],
        [("a", a.reshape(4)), ("b", b)],
    ]
    digests = [content_digest(items) for items in variants]
    assert len(set(digests)) == len(digests)
    assert content_digest(variants[0]) == digests[0]
