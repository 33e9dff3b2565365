"""Agreement of label maps, beside numbers on paper."""

from __future__ import annotations

import numpy as np
import pytest

from seqgen.metrics.label_maps import label_agreement, labels_of, palette

RED, GREEN, BLUE = (250, 10, 10), (10, 240, 20), (0, 0, 255)


def test_colours_are_found_through_noise_and_edges_are_none() -> None:
    draws = np.random.Generator(np.random.PCG64(0))
    which = draws.integers(0, 3, size=(4, 40, 40))
    clean = np.array([RED, GREEN, BLUE])[which]
    noisy = (clean + draws.integers(-6, 7, size=clean.shape)).clip(0, 255).astype(np.uint8)
    noisy[0, 0, :10] = 130  # a thousandth of the pixels: a blurred edge, no class
    maps = np.moveaxis(noisy, -1, 1)
    colours = palette(maps)
    assert len(colours) == 3
    order = [int(np.linalg.norm(colours - colour, axis=1).argmin()) for colour in (RED, GREEN, BLUE)]
    assert sorted(order) == [0, 1, 2]
    found = labels_of(maps, colours)
    assert (found == np.array(order)[which])[1:].all()


def test_shares_on_paper() -> None:
    true = np.array([[[0, 0, 0, 1], [1, 1, 2, 2]]])
    found = np.array([[[0, 0, 1, 1], [1, 0, 2, 1]]])
    agreement = label_agreement(true, found, classes=4)
    assert agreement.right == 5 / 8
    assert agreement.right_by_class == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    # Both sides call pixels 0: two of four that either does; 1: two of five; 2: one of two.
    assert agreement.overlap == pytest.approx((2 / 4 + 2 / 5 + 1 / 2) / 3)


def test_a_photo_has_no_palette_to_speak_of() -> None:
    photo = np.random.Generator(np.random.PCG64(1)).integers(0, 256, size=(2, 3, 64, 64)).astype(np.uint8)
    assert len(palette(photo)) == 0
