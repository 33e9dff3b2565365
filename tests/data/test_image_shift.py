from __future__ import annotations

import torch
from torch.nn import functional

from seqgen.data.image_shift import shifted


def test_images_are_moved_and_their_edge_repeated() -> None:
    images = torch.arange(12.0).view(1, 1, 3, 4).repeat(50, 1, 1, 1)
    moved = shifted(images, 0.4, seed=0)  # by one pixel at most
    assert moved.shape == images.shape
    assert torch.equal(moved, shifted(images, 0.4, seed=0))
    padded = functional.pad(images[:1], (1, 1, 1, 1), mode="replicate")[0, 0]
    places = {tuple(padded[r : r + 3, c : c + 4].flatten().tolist()) for r in range(3) for c in range(3)}
    found = {tuple(image.flatten().tolist()) for image in moved}
    assert found == places
    assert torch.equal(shifted(images, 0.2, seed=0), images)


def test_colour_moves_together() -> None:
    images = torch.arange(16.0).view(1, 1, 4, 4).repeat(8, 3, 1, 1)
    moved = shifted(images, 0.5, seed=3)
    assert torch.equal(moved[:, 0], moved[:, 2])
