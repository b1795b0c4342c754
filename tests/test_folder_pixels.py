"""The pixels of your own pictures are those that a viewer shows."""

import io

import numpy as np
import pytest
from PIL import Image

from tasks.preparation.archives import DataError
from tasks.preparation.decode import decode_shown, fit_square, to_bytes
from tests.own_pictures import KINDS, turned, values

PIXELS = values(3, 1, 20, 30)


def encoded(image: Image.Image, suffix: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def test_colours_keep_every_bit_and_grey_has_one_channel():
    assert np.array_equal(decode_shown(encoded(Image.fromarray(PIXELS), "png"), ""), PIXELS)
    grey = np.repeat(PIXELS[..., :1], 3, axis=2)
    assert np.array_equal(decode_shown(encoded(Image.fromarray(grey), "png"), ""), PIXELS[..., 0])
    ink = PIXELS[..., 0] > 90
    assert np.array_equal(decode_shown(encoded(Image.fromarray(ink), "png"), ""), ink * np.uint8(255))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_reduced_to_eight(suffix):
    wide = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    shown = decode_shown(encoded(Image.fromarray(wide), suffix), "")
    assert np.array_equal(shown, np.rint(wide / 257)) and shown.max() == 255
    dark = np.full((20, 30), 200, np.uint16)
    assert decode_shown(encoded(Image.fromarray(dark), suffix), "").max() == 1


def test_transparency_lies_on_white():
    for mode in ("RGBA", "LA", "P"):
        image = Image.new("RGBA", (4, 4), (10, 10, 10, 0))
        image.paste((200, 0, 0, 255), (2, 0, 4, 4))
        options = {}
        if mode == "P":
            image, options = Image.new("P", (4, 4), 0), {"transparency": 0}
            image.putpalette([10, 10, 10, 200, 0, 0])
            image.paste(1, (2, 0, 4, 4))
        shown = decode_shown(encoded(image if mode == "P" else image.convert(mode), "png", **options), "")
        assert (shown[:, :2] == 255).all() and (shown[:, 2:] != 255).all(), mode
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert decode_shown(encoded(half, "png"), "").item() == 127


def test_the_orientation_of_a_camera_is_followed():
    data = encoded(Image.fromarray(PIXELS), "jpeg", quality=95)
    plain, upright = (
        decode_shown(data, ""),
        decode_shown(encoded(Image.fromarray(PIXELS), "jpeg", quality=95, **turned(PIXELS)), ""),
    )
    assert np.array_equal(upright, np.rot90(plain, -1)) and upright.shape == (30, 20, 3)


def test_cmyk_and_palettes_are_colours():
    shown = decode_shown(encoded(KINDS["cmyk.tif"](PIXELS), "tiff"), "")
    assert np.abs(shown.astype(int) - PIXELS).max() <= 1
    few = Image.fromarray(PIXELS).quantize(16)
    assert np.array_equal(decode_shown(encoded(few, "gif"), ""), np.asarray(few.convert("RGB")))


def test_values_of_arrays_become_bytes():
    assert to_bytes(np.array([0.0, 0.5, 1.0]), "").tolist() == [0, 128, 255]
    assert to_bytes(np.array([0.0, 0.5, 200.0]), "").tolist() == [0, 0, 200]
    assert to_bytes(np.array([0, 257, 65535], np.uint16), "").tolist() == [0, 1, 255]
    assert to_bytes(np.array([False, True]), "").tolist() == [0, 255]
    for wrong in ([-1.0], [300.0], [np.nan]):
        with pytest.raises(DataError, match="own: values"):
            to_bytes(np.array(wrong), "own")


def test_a_picture_is_squashed_to_the_square():
    square = fit_square(PIXELS, 10)
    assert square.shape == (10, 10, 3)
    assert np.array_equal(square[..., 0], fit_square(PIXELS[..., 0], 10))
    assert abs(square.mean() - PIXELS.mean()) < 1
    assert fit_square(PIXELS[:20, :20], 20) is not None and np.array_equal(
        fit_square(PIXELS[:, :20], 20), PIXELS[:, :20]
    )
