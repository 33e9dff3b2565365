from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seqgen.figures import mosaic


def ramp(count: int, channels: int = 1, height: int = 4, width: int = 6) -> NDArray[np.uint8]:
    """Plain images, each brighter than the one before."""
    levels = np.linspace(0, 255, count).astype(np.uint8)[:, None, None, None]
    return np.broadcast_to(levels, (count, channels, height, width)).copy()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pictures_have_the_pixels_of_the_array(channels: int, mode: str) -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (2, channels, 4, 6)).astype(np.uint8)
    for array, picture in zip(pixels, mosaic.pictures(pixels), strict=True):
        assert (picture.mode, picture.size) == (mode, (6, 4))
        assert np.array_equal(np.asarray(picture).reshape(4, 6, channels), array.transpose(1, 2, 0))


def test_a_grid_is_filled_row_by_row_a_pixel_apart() -> None:
    whole = mosaic.grid(mosaic.pictures(ramp(5)), 2, 3)
    assert whole.size == (3 * 7 - 1, 2 * 5 - 1)
    assert [whole.getpixel((x, y)) for y in (0, 5) for x in (0, 7, 14)] == [0, 63, 127, 191, 255, 0]
    assert whole.getpixel((13, 0)) == 0


def test_a_png_keeps_every_pixel() -> None:
    whole = mosaic.grid(mosaic.pictures(ramp(4, 3)), 2, 2)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mosaic.png(whole)))), np.asarray(whole))


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_an_animation_has_all_frames(form: str) -> None:
    with Image.open(io.BytesIO(mosaic.animation(mosaic.pictures(ramp(5)), form, 50))) as image:
        assert image.format == form
        assert getattr(image, "n_frames", 1) == 5


def test_a_sketch_goes_from_spaces_to_at_signs() -> None:
    lines = mosaic.sketch(ramp(3)).splitlines()
    assert len(lines) == 5  # 14 columns of 6:4 pixels, letters twice as high as wide
    assert lines[0] == " " * 14 + " " + "=" * 14 + " " + "@" * 14


def test_a_preview_has_two_pixels_a_letter() -> None:
    whole = mosaic.grid(mosaic.pictures(ramp(2, 3)), 1, 2)
    lines = mosaic.preview(whole, 13, colour=True).splitlines()
    assert len(lines) == 2
    assert all(line.count("▀") == 13 and line.endswith("\x1b[0m") for line in lines)
    assert lines[0].startswith("\x1b[38;2;0;0;0;48;2;0;0;0m")
    assert "\x1b" not in mosaic.preview(whole, 13, colour=False)
