"""Features that tell a sharp image from a blurred one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from seqgen.metrics.frechet import frechet_of
from seqgen.tasks.features.texture import LEAST, TextureFeatures


def squares(count: int = 40) -> NDArray[np.uint8]:
    draw = np.random.Generator(np.random.PCG64(0))
    return draw.integers(0, 256, size=(count, 1, 8, 8)).astype(np.uint8).repeat(4, axis=2).repeat(4, axis=3)


def test_a_flat_image_has_its_mean_only() -> None:
    features = TextureFeatures().extract(np.full((1, 3, 20, 16), 50, np.uint8)).features
    assert features.shape == (1, 64)
    assert features[0, 0] == pytest.approx(math.log(8 * 50 + LEAST), rel=1e-5)
    assert features[0, 1:] == pytest.approx(np.zeros(63), abs=1e-3)


def test_one_wave_has_one_coefficient() -> None:
    """Coefficient (0, 3): over the rows 8 / sqrt 8, over the columns sqrt(2 / 8) times the sum of 100 cos^2, 400."""
    wave = 128 + 100 * np.cos(math.pi / 8 * (np.arange(8) + 0.5) * 3)
    pixels = np.broadcast_to(wave.round(), (1, 1, 8, 8)).astype(np.uint8)
    features = TextureFeatures().extract(pixels).features[0]
    assert features[3] == pytest.approx(math.log(math.sqrt(8) * 0.5 * 400 + LEAST), rel=0.01)
    assert np.delete(features, [0, 3]).max() < 1.5


def test_blur_is_far_and_another_colour_is_not() -> None:
    pixels = squares()
    blurred = np.stack(
        [np.asarray(Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(2)))[None] for image in pixels]
    )
    features = [TextureFeatures().extract(x).features for x in (pixels, blurred, 255 - pixels)]
    assert frechet_of(features[0], features[1]) > 5 * frechet_of(features[0], features[2])


def test_the_smallest_images_have_features() -> None:
    assert np.isfinite(TextureFeatures().extract(np.zeros((2, 1, 3, 5), np.uint8)).features).all()
