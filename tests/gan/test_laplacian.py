"""The Laplacian pyramid: nothing is lost, and its two operators are those of the paper."""

from __future__ import annotations

import itertools

import pytest
import torch

from seqgen.gan.laplacian import KERNEL, doubled, gaussian_pyramid, halved, laplacian_pyramid, reconstructed


@pytest.mark.parametrize("size", [(32, 32), (17, 30), (9, 4)])
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_pyramid_holds_all_of_its_image(size: tuple[int, int], levels: int, channels: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, channels, *size) * 2 - 1
    pyramid = laplacian_pyramid(images, levels)
    torch.testing.assert_close(reconstructed(pyramid), images, rtol=0, atol=1e-6)
    assert [part.shape[2:] for part in pyramid] == [part.shape[2:] for part in gaussian_pyramid(images, levels)]


def test_halving_is_a_binomial_blur_and_every_second_pixel() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 2, 9, 12)
    found = halved(images)
    assert found.shape == (1, 2, 5, 6)
    for c, y, x in itertools.product(range(2), range(5), range(6)):
        expected = 0.0
        for (i, a), (j, b) in itertools.product(enumerate(KERNEL), repeat=2):
            row, column = min(max(2 * y + i - 2, 0), 8), min(max(2 * x + j - 2, 0), 11)
            expected += a * b * float(images[0, c, row, column])
        assert float(found[0, c, y, x]) == pytest.approx(expected, abs=1e-6)


def test_doubling_lays_pixels_between_and_keeps_what_is_flat() -> None:
    """Between two pixels lies their mean; on one, it counts six eighths, and its neighbours an eighth each."""
    flat = torch.full((1, 3, 5, 4), 0.7)
    torch.testing.assert_close(doubled(flat, (9, 8)), torch.full((1, 3, 9, 8), 0.7))
    row = torch.tensor([0.0, 1.0, 4.0, 9.0, 0.0]).expand(5, 5)[None, None]
    found = doubled(row, (10, 10))[0, 0, 5]
    assert found[4].item() == pytest.approx((1.0 + 6 * 4.0 + 9.0) / 8)
    assert found[5].item() == pytest.approx((4.0 + 9.0) / 2)


def test_a_smooth_image_has_small_differences() -> None:
    waves = torch.sin(torch.linspace(0, 3, 32)).expand(1, 1, 32, 32)
    coarse, *differences = laplacian_pyramid(waves, 3)
    assert max(float(part[..., 4:-4, 4:-4].abs().max()) for part in differences) < 0.05 * float(waves.abs().max())
    assert coarse.shape == (1, 1, 8, 8)
