from __future__ import annotations

import numpy as np
import pytest

from seqgen.data.image_order import digests_of, fair_order, first_copies

PIXELS = np.random.Generator(np.random.PCG64(0)).integers(0, 256, size=(200, 1, 4, 4)).astype(np.uint8)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_images_in_another_order_are_shuffled_to_the_same_sequence(seed: int) -> None:
    came = np.random.Generator(np.random.PCG64(seed)).permutation(len(PIXELS))
    one, other = fair_order(digests_of(PIXELS), None, seed), fair_order(digests_of(PIXELS[came]), None, seed)
    assert np.array_equal(PIXELS[one], PIXELS[came][other])
    assert sorted(one) == list(range(len(PIXELS)))


def test_copies_with_different_labels_have_an_order_too() -> None:
    pixels, labels = PIXELS[:5].repeat(2, 0), np.arange(10) % 2
    came = np.arange(10)[::-1]
    one, other = fair_order(digests_of(pixels), labels, 0), fair_order(digests_of(pixels[came]), labels[came], 0)
    assert labels[one].tolist() == labels[came][other].tolist()


def test_the_first_images_stand_for_all() -> None:
    """Half dark and half bright, sorted: of the first 100 after the shuffle about half are bright."""
    pixels = np.sort(PIXELS.reshape(200, -1).mean(axis=1)).astype(np.uint8)[:, None, None, None]
    first = pixels[fair_order(digests_of(pixels), None, 0)][:100].ravel()
    assert 35 <= int((first > np.median(pixels)).sum()) <= 65
    one, other = (fair_order(digests_of(PIXELS), None, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_copies_are_known_by_what_they_show() -> None:
    pixels = np.concatenate([PIXELS[:3], PIXELS[1:2], PIXELS[3:4], PIXELS[1:2]])
    assert first_copies(digests_of(pixels)).tolist() == [True, True, True, False, True, False]
