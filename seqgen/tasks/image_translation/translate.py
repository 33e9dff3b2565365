"""Images from images: what is made of one does not depend on its company.

Each image goes through the network alone, at its own size: a product of more rows may add in another order, and a
pixel would tip over to the next value. The noise of a seed is the same for every image. A picture that is too large for
the memory is made in tiles, each with as much around it as its pixels depend on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen.errors import DataError, UsageError
from seqgen.seeds import derive
from seqgen.tasks.gan.imagine import to_bytes
from seqgen.tasks.image_translation.model import Way

Pixels = NDArray[np.uint8]
# Images that are made together where only their figures count.
TOGETHER = 32


class ImageTranslator:
    """Makes an image of an image.

    Args:
        way (Way): from what to what.
        seed (int | None): of the noise; None for none.
        tile (int): the sides of a tile in pixels; 0: each picture as a whole.

    Raises:
        UsageError: the tiles are too small.
    """

    def __init__(self, way: Way, *, seed: int | None = 0, tile: int = 0) -> None:
        self._way, self._seed, self._tile = way, seed, tile
        self._generator = way.generator
        if tile and (tile < self._generator.multiple or tile % self._generator.multiple):
            raise UsageError(f"--tile {tile}: this model takes a multiple of {self._generator.multiple} pixels")

    @torch.inference_mode()
    def translate(self, pixels: Pixels) -> Pixels:
        """An image `(channels, height, width)` of an input `(source_channels, height, width)`, any size.

        Raises:
            DataError: it is too small.
        """
        height, width = pixels.shape[1:]
        if min(height, width) < (least := self._generator.least_side):
            raise DataError(f"an image of {width}x{height} pixels: this model takes {least} pixels a side at least")
        source = scaled(torch.tensor(pixels[None]).to(self._way.device))
        self._generator.noisy = self._seed is not None
        self._generator.eval()
        if not self._tile or max(height, width) <= self._tile:
            return np.asarray(to_bytes(self._made(source))[0])
        whole = np.empty((self._way.images.channels, height, width), np.uint8)
        for place in self._tiles(height, width):
            tile = to_bytes(self._made(source[:, :, place.rows, place.columns]))[0]
            rows, columns = place.inner
            shown = tile[:, rows, columns]
            top, left = place.rows.start + rows.start, place.columns.start + columns.start
            whole[:, top : top + shown.shape[1], left : left + shown.shape[2]] = shown
        return whole

    def _made(self, source: Tensor) -> Tensor:
        if self._seed is None:
            return self._generator(source)  # type: ignore[no-any-return]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self._seed, "noise"))
            return self._generator(source)  # type: ignore[no-any-return]

    def _tiles(self, height: int, width: int) -> Iterator[_Place]:
        for top in range(0, height, self._tile):
            for left in range(0, width, self._tile):
                (rows, shown_rows), (columns, shown_columns) = self._around(top, height), self._around(left, width)
                yield _Place(rows, columns, (shown_rows, shown_columns))

    def _around(self, first: int, length: int) -> tuple[slice, slice]:
        """What is read for a tile along one side, and which part of what is made of that is shown.

        The last tile of a side reads more before it rather than being too small to be reflected.
        """
        reach = self._generator.reach
        begin, end = max(0, first - reach), min(length, first + self._tile + reach)
        return slice(begin, end), slice(first - begin, min(first + self._tile, length) - begin)


class _Place(NamedTuple):
    """A tile: the rows and columns of the picture that are read, and those of what is made of them that are shown."""

    rows: slice
    columns: slice
    inner: tuple[slice, slice]


def scaled(pixels: Tensor) -> Tensor:
    """Bytes as floats in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1.0)


@torch.inference_mode()
def made_of(way: Way, sources: Pixels, seed: int | None) -> Pixels:
    """Images `(n, channels, height, width)` of many inputs of one size, some at a time: to be judged.

    Args:
        way (Way): its network is left in evaluation mode.
        sources (Pixels): `(n, source_channels, height, width)`.
        seed (int | None): of the noise; None for none.
    """
    generator, made = way.generator, []
    generator.noisy = seed is not None
    generator.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed or 0, "noise"))
        for first in range(0, len(sources), TOGETHER):
            some = torch.from_numpy(sources[first : first + TOGETHER])
            made.append(to_bytes(generator(scaled(some.to(way.device)))))
    return np.concatenate(made)
