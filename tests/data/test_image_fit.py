from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from seqgen.config import Fit
from seqgen.data.image_fit import fitted
from seqgen.data.image_pixels import Form

Pixels = NDArray[np.uint8]


def plain(height: int, width: int, *colour: int) -> Pixels:
    return np.full((height, width, len(colour)), colour, np.uint8)


def test_an_image_that_fits_is_not_touched() -> None:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    assert fitted(pixels, Form(5, 7, 3), "crop") is pixels


def test_grey_becomes_colour_and_colour_grey() -> None:
    assert fitted(plain(2, 3, 77), Form(2, 3, 3), "crop").tolist() == plain(2, 3, 77, 77, 77).tolist()
    # ITU-R 601: 0.299 red, 0.587 green, 0.114 blue.
    assert fitted(plain(1, 1, 200, 100, 50), Form(1, 1, 1), "crop").item() == round(59.8 + 58.7 + 5.7)


@pytest.mark.parametrize(("alpha", "seen"), [(255, [200, 0, 100]), (0, [255, 255, 255]), (51, [244, 204, 224])])
def test_transparency_shows_white(alpha: int, seen: list[int]) -> None:
    # A fifth of the colour and four fifths of white: 40 + 204, 0 + 204, 20 + 204.
    assert fitted(plain(1, 1, 200, 0, 100, alpha), Form(1, 1, 3), "crop").ravel().tolist() == seen
    assert fitted(plain(1, 1, 200, alpha), Form(1, 1, 1), "crop").item() == seen[0]


def test_transparency_is_gone_before_pixels_are_averaged() -> None:
    # Black that nobody sees must not darken what is shown.
    pixels = plain(8, 8, 0, 0, 0, 0)
    assert fitted(pixels, Form(4, 4, 3), "crop").min() == 255


def test_a_crop_that_needs_no_resizing_keeps_the_pixels() -> None:
    pixels = np.arange(30 * 28, dtype=np.uint32).astype(np.uint8).reshape(30, 28, 1)
    assert np.array_equal(fitted(pixels, Form(28, 28, 1), "crop"), pixels[1:29])


def test_a_crop_takes_the_middle() -> None:
    pixels = np.concatenate([plain(20, 10, 255), plain(20, 20, 40), plain(20, 10, 255)], axis=1)
    middle = fitted(pixels, Form(10, 10, 1), "crop")
    # What lies just beside the crop weighs in at its edge, as in any resampling.
    assert middle[:, 2:8].tolist() == plain(10, 6, 40).tolist()
    assert abs(middle.astype(int) - 40).max() < 20


def test_a_border_has_the_colour_of_the_edge_and_nothing_is_lost() -> None:
    pixels = plain(20, 40, 255, 250, 0)
    pixels[5:15, 10:30] = 9
    padded = fitted(pixels, Form(20, 20, 3), "pad")
    assert padded.shape == (20, 20, 3)
    assert padded[[0, 4, 15, 19]].tolist() == [[[255, 250, 0]] * 20] * 4
    assert padded[10, 10].tolist() == [9, 9, 9]
    assert padded[10, [0, 19]].tolist() == [[255, 250, 0]] * 2


def test_shrinking_averages() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    small = fitted(board, Form(8, 8, 1), "crop")
    assert abs(small.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 3), (33, 64)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_shape_comes_out_right(fit: Fit, shape: tuple[int, int], channels: int) -> None:
    for form in (Form(4, 9, 1), Form(16, 8, 3)):
        assert fitted(np.full((*shape, channels), 7, np.uint8), form, fit).shape == form
