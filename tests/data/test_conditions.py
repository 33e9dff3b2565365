"""Inputs that are derived from images, beside numbers on paper and Pillow."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from seqgen.config import Condition
from seqgen.data.conditions import SKETCH_BLUR, derived

Pixels = NDArray[np.uint8]
DERIVED = [kind for kind in get_args(Condition) if kind != "none"]


def picture(seed: int = 0, channels: int = 3, side: int = 21) -> Pixels:
    draw = np.random.Generator(np.random.PCG64(seed))
    coarse = draw.integers(0, 256, size=(1, channels, 4, 4)).astype(np.uint8)
    return coarse.repeat(-(-side // 4), axis=2).repeat(-(-side // 4), axis=3)[:, :, :side, : side - 2]


@pytest.mark.parametrize("kind", DERIVED)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_input_is_of_the_same_size_and_does_not_depend_on_its_company(kind: Condition, channels: int) -> None:
    several = np.concatenate([picture(seed, channels) for seed in range(4)])
    made = derived(several, kind)
    assert made.shape == (4, channels if kind == "lowres" else 1, 21, 19)
    assert made.dtype == np.uint8
    for i in range(4):
        assert np.array_equal(derived(several[i : i + 1], kind)[0], made[i])


@pytest.mark.parametrize("kind", DERIVED)
@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_smallest_images_have_inputs_too(kind: Condition, side: int) -> None:
    pixels = np.full((1, 3, side, side + 1), 90, np.uint8)
    assert derived(pixels, kind).shape[2:] == (side, side + 1)


def test_grey_is_that_of_pillow() -> None:
    pixels = picture()
    expected = np.asarray(Image.fromarray(pixels[0].transpose(1, 2, 0)).convert("L"))
    assert np.abs(derived(pixels, "grey")[0, 0].astype(int) - expected).max() <= 1


def test_one_step_is_one_line() -> None:
    """Two halves of different grey: one line of one pixel, where the step is; nothing else."""
    pixels = np.full((1, 1, 12, 16), 40, np.uint8)
    pixels[..., 8:] = 200
    lines = derived(pixels, "edges")[0, 0] == 0
    assert lines.sum(axis=1).tolist() == [1] * 12
    assert set(np.nonzero(lines)[1]) <= {7, 8}
    assert np.array_equal(derived(pixels.swapaxes(2, 3), "edges"), derived(pixels, "edges").swapaxes(2, 3))


def test_a_step_of_colour_alone_is_a_line_too() -> None:
    """Red and green of one brightness: grey sees nothing there."""
    pixels = np.zeros((1, 3, 12, 16), np.uint8)
    pixels[:, 0, :, :8], pixels[:, 1, :, 8:] = 196, 100
    grey = derived(pixels, "grey")
    assert np.ptp(grey.astype(int)) <= 1
    assert (derived(pixels, "edges")[0, 0] == 0).sum(axis=1).tolist() == [1] * 12


def test_weak_edges_count_where_they_touch_strong_ones() -> None:
    """A step that fades along its length, and one that is as weak from end to end."""
    fading = np.full((1, 1, 30, 16), 100, np.uint8)
    fading[0, 0, :, 8:] = (100 + np.linspace(120, 34, 30))[:, None]
    assert (derived(fading, "edges")[0, 0, :28] == 0).sum(axis=1).tolist() == [1] * 28
    weak = np.full((1, 1, 30, 16), 100, np.uint8)
    weak[..., 8:] = 140
    assert (derived(weak, "edges") == 255).all()
    assert (derived(np.full((1, 3, 9, 9), 77, np.uint8), "edges") == 255).all()


def test_a_sketch_is_the_quotient_with_the_blurred_image() -> None:
    pixels = picture(side=41)
    grey = Image.fromarray(derived(pixels, "grey")[0, 0])
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(SKETCH_BLUR))).astype(float)
    expected = np.minimum(255, 255 * (np.asarray(grey) + 1.0) / (blurred + 1.0))
    inner = (slice(8, -8), slice(8, -8))  # Pillow's blur is one of boxes, and treats borders in another way
    assert np.abs(derived(pixels, "sketch")[0, 0][inner] - expected[inner]).mean() < 4


def test_a_low_resolution_has_the_means_of_its_blocks() -> None:
    pixels = np.repeat(np.repeat(np.arange(0, 160, 10).astype(np.uint8).reshape(1, 1, 4, 4), 8, axis=2), 8, axis=3)
    made = derived(pixels, "lowres")
    assert made.shape == pixels.shape
    blocks = made.reshape(1, 1, 8, 4, 8, 4).mean(axis=(3, 5))
    assert np.abs(blocks - pixels.reshape(1, 1, 8, 4, 8, 4).mean(axis=(3, 5))).max() < 8  # steps are of 40
    fine = (np.indices((16, 16)).sum(axis=0) % 2 * 200).astype(np.uint8)[None, None]
    assert (derived(fine, "lowres") == 100).all()
