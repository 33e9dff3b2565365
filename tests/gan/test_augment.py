from __future__ import annotations

from typing import get_args

import pytest
import torch

from seqgen.config import Augment
from seqgen.gan.augment import augment, cut_out, recolour, translate


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", get_args(Augment))
@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 9, 16)])
def test_shapes_stay_and_gradients_flow(kind: Augment, shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, requires_grad=True)
    changed = augment(images, kind)
    assert changed.shape == shape
    changed.sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_none_changes_nothing() -> None:
    images = torch.rand(2, 1, 8, 8)
    assert augment(images, "none") is images


def test_every_image_is_moved_by_a_number_of_its_own() -> None:
    image = torch.zeros(64, 1, 16, 16)
    image[:, 0, 8, 8] = 1.0
    places = translate(image).flatten(1).argmax(dim=1)
    rows, columns = places // 16, places % 16
    assert (rows - 8).abs().max() == (columns - 8).abs().max() == 2  # an eighth of 16
    assert len(set(places.tolist())) > 10


def test_a_hole_takes_up_to_half_of_each_side() -> None:
    holes = (cut_out(torch.ones(64, 1, 16, 16)) == 0).float()
    assert holes.amax(dim=3).sum(dim=2).max() == holes.amax(dim=2).sum(dim=2).max() == 9  # 8 to each side of a middle
    assert holes.mean(dim=(1, 2, 3)).min() > 0


def test_recolouring_keeps_grey_images_grey() -> None:
    images = torch.rand(4, 1, 8, 8).expand(4, 3, 8, 8)
    changed = recolour(images)
    torch.testing.assert_close(changed[:, 0], changed[:, 2])
    assert not torch.allclose(changed, images)
