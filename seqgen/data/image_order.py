"""An order of images that does not depend on the order in which they came, and which of them are copies.

Files sorted by class, or the same images in another folder structure, must not change a figure. So whatever takes some
of the images for all of them takes the first ones of this order: sorted by what they show, then shuffled.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Digests = NDArray[np.uint64]


def digests_of(pixels: NDArray[np.uint8]) -> Digests:
    """A number for what each image shows `(n,)`: the same for copies, another for any other image.

    Args:
        pixels (NDArray[np.uint8]): `(n, channels, height, width)`; one image is read at a time.
    """
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.frombuffer(b"".join(digests), np.uint64)


def fair_order(digests: Digests, labels: Indices | None, seed: int) -> Indices:
    """Places `(n,)` of images, shuffled; the same images in another order are shuffled to the same sequence.

    Args:
        digests (Digests): of the images, `(n,)`.
        labels (Indices | None): their classes, `(n,)`, which tell copies of one image apart.
        seed (int): of the shuffle.
    """
    by_content = np.lexsort((digests,) if labels is None else (labels, digests))
    return by_content[np.random.Generator(np.random.PCG64(seed)).permutation(len(digests))]


def first_copies(digests: Digests) -> NDArray[np.bool_]:
    """Which images `(n,)` are not copies of an earlier one."""
    first = np.zeros(len(digests), np.bool_)
    first[np.unique(digests, return_index=True)[1]] = True
    return first
