"""How near images are to the nearest of all training images, however many these are.

To extract the features of all of them would take too long. So all are searched by thumbnails, in blocks, and
only the few nearest of these are compared by their features. The thumbnail of a copy is that of its original, so no
copy is missed; and what only has the same brightness here and there is told apart by the features. Time grows with the
number of training images, memory by `SIDE` x `SIDE` bytes for each colour of each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]
Features = NDArray[np.float32]

# Of a thumbnail.
SIDE = 8
# Images that are asked about, and how many training images are compared with each by features.
QUERIES, CANDIDATES = 256, 4
# Training images in memory at once.
BLOCK = 4096


class NearestImages:
    """Training images that can be searched.

    Args:
        pixels (Pixels): all training images, `(n, channels, height, width)`, memory-mapped.
        indices (Indices): which of them are searched: no copies, in an order in which the first stand for all.
        extract (Callable[[Pixels], Features]): what a feature network extracts from images.
    """

    def __init__(self, pixels: Pixels, indices: Indices, extract: Callable[[Pixels], Features]) -> None:
        self._pixels, self._indices, self._extract = pixels, indices, extract
        blocks = (indices[first : first + BLOCK] for first in range(0, len(indices), BLOCK))
        self._thumbnails = torch.cat([thumbnails(pixels[block]) for block in blocks])

    def closeness(self, samples: Pixels) -> float:
        """The median distance of samples to the nearest training image, as a share of that of these to each other.

        Args:
            samples (Pixels): `(n, channels, height, width)`; the first `QUERIES` are asked about.

        Returns:
            float: 0 for copies, about 1 for images of the same kind; 1 where there are too few images to tell.
        """
        if len(self._indices) < 3:
            return 1.0
        some = samples[:QUERIES]
        near = self._places(thumbnails(some), CANDIDATES)
        return float(np.median(self._distances(some, near))) / max(self._apart, 1e-12)

    @cached_property
    def _apart(self) -> float:
        """The median distance of a training image to the nearest other one."""
        count = min(QUERIES, len(self._indices))
        near = self._places(self._thumbnails[:count], CANDIDATES + 1)
        own = near == torch.arange(count)[:, None]
        own[:, -1] |= ~own.any(dim=1)  # of more than `CANDIDATES` alike thumbnails its own may be missing
        others = near[~own].reshape(count, -1)
        return float(np.median(self._distances(self._pixels[self._indices[:count]], others)))

    def _places(self, queries: Tensor, count: int) -> Tensor:
        """The places `(queries, count)` of the images with the nearest thumbnails; fewer if there are fewer."""
        nearest, places = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.long)
        for first in range(0, len(self._thumbnails), BLOCK):
            block = self._thumbnails[first : first + BLOCK]
            found = torch.cdist(queries.float(), block.float())
            here = torch.arange(first, first + len(block)).expand(len(queries), -1)
            nearest, places = torch.cat([nearest, found], dim=1), torch.cat([places, here], dim=1)
            nearest, kept = nearest.topk(min(count, nearest.shape[1]), dim=1, largest=False)
            places = places.gather(1, kept)
        return places

    def _distances(self, images: Pixels, places: Tensor) -> NDArray[np.float64]:
        """The distance `(n,)` of each image to the nearest of the training images at some places `(n, some)`."""
        wanted, columns = np.unique(places.numpy(), return_inverse=True)
        training = self._extract(self._pixels[self._indices[wanted]])[columns.reshape(places.shape)]
        apart = np.linalg.norm(self._extract(images)[:, None].astype(np.float64) - training, axis=2)
        nearest: NDArray[np.float64] = apart.min(axis=1)
        return nearest


def thumbnails(pixels: Pixels) -> Tensor:
    """Images `(n, channels, height, width)` made small, as bytes `(n, values)`."""
    images = torch.from_numpy(np.array(pixels)).float()
    height, width = (min(SIDE, side) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width)).round().to(torch.uint8).flatten(1)
