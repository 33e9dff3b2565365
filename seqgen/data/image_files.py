"""Image files to arrays, one image at a time.

No file is trusted: its pixels are counted before they are decoded, and a file that cannot be used is counted and named
while the others go on. `seqgen.data.image_folders` finds the files, `seqgen.data.image_pixels` makes pixels of one;
images that are arrays already are read in `seqgen.data.image_arrays`; what becomes of all of them is in
`seqgen.data.images`.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seqgen.data.image_folders import ImageFile, cause
from seqgen.data.image_pixels import MAX_PIXELS, Form, form_of, pixels_of
from seqgen.names import class_name, on_one_line

# Of all that Pillow reads, what images are kept in; none of these starts another program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
NAMED_FAULTS = 3


class Picture(NamedTuple):
    """One image.

    Args:
        pixels (NDArray[np.uint8]): `(height, width, channels)`.
        label (str | None): the name of its class, None without one.
        name (str): what it is called below its path, without a suffix; of an array its number.
    """

    pixels: NDArray[np.uint8]
    label: str | None
    name: str


@dataclass
class Faults:
    """The files that could not be used: how many, and the first few by name and cause."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str, error: Exception) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < NAMED_FAULTS:
            self.first.append(f"{on_one_line(name)} ({cause(error)})")

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.first) else ""
        return f"{self.count:,} file{'s'[: self.count > 1]} passed over: {', '.join(self.first)}{more}"


class ImageSource(Protocol):
    """Images behind one path: listed when it is made, decoded by `read`, as often as wanted."""

    path: str
    forms: Counter[Form]
    empty: tuple[str, ...]
    """Folders beside those with images that hold none."""

    def read(self, size: tuple[int, int], faults: Faults) -> Iterator[Picture]:
        """Every image, in order.

        Args:
            size (tuple[int, int]): the height and width that they are wanted in; larger ones may come smaller than they
                are where that saves work, down to twice this.
            faults (Faults): told about the files that could not be used.

        Raises:
            DataError: the path as a whole cannot be read to its end.
        """


# Files --------------------------------------------------------------------------------------------------------


class ImageFiles:
    """The image files of a folder or an archive.

    A class is a folder: the first one below the folder that holds all images. Images that all lie in one folder, and
    those that lie beside the class folders, have no label.

    Args:
        path (str): the folder or archive.
        files (Callable[[], Iterator[ImageFile]]): lists its files, each time anew.

    Raises:
        DataError: the path cannot be read.
    """

    def __init__(self, path: str, files: Callable[[], Iterator[ImageFile]]) -> None:
        self.path, self._files = path, files
        self.forms: Counter[Form] = Counter()
        places, folders = set[tuple[str, ...]](), set[tuple[str, ...]]()
        for file in files():
            folders.add(file.folders)
            if file.open is None:
                continue
            with contextlib.suppress(Exception), opened(file) as image:  # `read` meets the fault again and names it
                self.forms[form_of(image)] += 1
                places.add(file.folders)
        self._depth = _shared(places)
        self.empty = _without_images(folders, places)

    def read(self, size: tuple[int, int], faults: Faults) -> Iterator[Picture]:
        """See `ImageSource.read`."""
        for file in self._files():
            if file.open is None:
                continue
            try:
                with opened(file) as image:
                    image.draft(None, (2 * max(size), 2 * max(size)))  # a JPEG decodes to a fraction in less time
                    pixels = pixels_of(image)
            except Exception as error:  # Pillow raises whatever its parsers stumble over
                faults.add(file.name, error)
                continue
            below = file.folders[self._depth :]
            name = "/".join((*below, PurePosixPath(file.name).stem))
            yield Picture(pixels, class_name(below[0]) if below else None, name)


def _shared(places: set[tuple[str, ...]]) -> int:
    """How many folders from the top all places have in common."""
    return sum(1 for _ in itertools.takewhile(lambda level: len(set(level)) == 1, zip(*places, strict=False)))


def _without_images(folders: Iterable[tuple[str, ...]], places: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The topmost folders below which there is no image, by the folders of all images."""
    full = {place[:depth] for place in places for depth in range(len(place) + 1)}
    tops = (
        next((folder[: i + 1] for i in range(len(folder)) if folder[: i + 1] not in full), ()) for folder in folders
    )
    return tuple(sorted({"/".join(top) for top in tops if top}))


# Decoding -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(file: ImageFile) -> Iterator[Image.Image]:
    """An image whose header is read and whose pixels are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file is usable or it is not
        assert file.open is not None  # of a folder there is nothing to open
        with file.open() as content, Image.open(content, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            yield image
