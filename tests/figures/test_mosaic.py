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


def noise(count: int, channels: int) -> NDArray[np.uint8]:
    draw = np.random.Generator(np.random.PCG64(0))
    return draw.integers(0, 256, (count, channels, 9, 11)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_png_and_a_webp_keep_every_pixel(kind: str, channels: int) -> None:
    whole = mosaic.grid(mosaic.pictures(noise(4, channels)), 2, 2)
    with Image.open(io.BytesIO(mosaic.encoded(whole, kind))) as image:
        assert image.format == kind
        assert np.array_equal(np.asarray(image.convert(whole.mode)), np.asarray(whole))


def test_a_jpeg_keeps_nearly_all() -> None:
    whole = Image.linear_gradient("L").resize((64, 64))
    with Image.open(io.BytesIO(mosaic.encoded(whole, "JPEG"))) as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image, int) - np.asarray(whole, int)).max() <= 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_has_all_frames_pixel_for_pixel(kind: str, channels: int) -> None:
    pixels = noise(5, channels)  # of 99 pixels each: a GIF has room for the colours of each frame
    with Image.open(io.BytesIO(mosaic.animation(mosaic.pictures(pixels), kind, 50))) as image:
        assert image.format == kind
        assert getattr(image, "n_frames", 1) == 5
        for i in range(5):
            image.seek(i)
            shown = np.asarray(image.convert("RGB"))
            assert np.array_equal(shown, np.broadcast_to(pixels[i].transpose(1, 2, 0), (9, 11, 3)))


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
