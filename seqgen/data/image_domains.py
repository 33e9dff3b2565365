"""Two sets of images of one size, A and B, each with channels and classes of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seqgen.config import ImageConfig
from seqgen.data.images import INDEX, ImageSet, build_images

SIDES = ("a", "b")
# The file that is written last.
LAST = f"{SIDES[1]}/{INDEX}"


@dataclass(frozen=True)
class Domains:
    """The images of both.

    Args:
        a (ImageSet): those of the first path.
        b (ImageSet): those of the second one, of the same size.
    """

    a: ImageSet
    b: ImageSet


def build_domains(images: ImageConfig, directory: Path, warn: Callable[[str], None], *, named: bool = False) -> Domains:
    """Decode the images of two paths into `directory`, or reopen what an earlier session decoded there.

    Args:
        images (ImageConfig): two paths; the size is that of the first one's images unless it is given.
        directory (Path): created if needed; each has a folder of its own in it.
        warn (Callable[[str], None]): told what was done to images that are not alike, and what was passed over.
        named (bool): keep the name of each image.

    Raises:
        DataError: a path cannot be read, or holds no images that can be used.
    """
    first, second = images.paths
    a = build_images(dataclasses.replace(images, paths=(first,)), directory / SIDES[0], warn, named=named)
    size = "x".join(map(str, a.pixels.shape[2:]))
    other = dataclasses.replace(images, paths=(second,), image_size=size)
    return Domains(a, build_images(other, directory / SIDES[1], warn, named=named))
