"""Images to be used one by one, at the size that they have: files, folders, archives, arrays, and bytes from a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

from seqgen.config import ImageConfig
from seqgen.data.image_files import Faults, Picture, opened
from seqgen.data.image_folders import MAX_MEMBER_BYTES, ImageFile, cause
from seqgen.data.image_pixels import pixels_of
from seqgen.data.images import WANTED, kind_of, open_sources
from seqgen.errors import DataError

# No image is made smaller while it is read.
ANY_SIZE = (2**20, 2**20)
PIPE = "-"


def read_images(paths: Sequence[str], piped: Callable[[], bytes], warn: Callable[[str], None]) -> Iterator[Picture]:
    """The images of some paths in their order, one at a time.

    Args:
        paths (Sequence[str]): image files, folders, archives, idx and npz files; `-` is one image from a pipe.
        piped (Callable[[], bytes]): what came through the pipe.
        warn (Callable[[str], None]): told which files could not be used.

    Raises:
        DataError: a path cannot be read, or holds no image; or, at the end, some files could not be used.
    """
    passed_over = 0
    for path in paths:
        if path == PIPE:
            yield _from_pipe(piped())
            continue
        [source] = open_sources(ImageConfig(paths=(path,)))
        faults, count = Faults(), 0
        for picture in source.read(ANY_SIZE, faults):
            count += 1
            yield picture
        if faults.count and len(paths) == 1 and kind_of(path) == "file":
            raise DataError(f"cannot be read: {faults.first[0]}")
        if faults.count:
            warn(str(faults))
        elif not count:
            raise DataError(f"{path}: no images", hint=WANTED)
        passed_over += faults.count
    if passed_over:
        raise DataError(f"{passed_over:,} of the images cannot be read")


def _from_pipe(content: bytes) -> Picture:
    if not content:
        raise DataError("no image came through the pipe")
    if len(content) > MAX_MEMBER_BYTES:
        raise DataError(f"{len(content):,} bytes came through the pipe, more than {MAX_MEMBER_BYTES:,}")
    try:
        with opened(ImageFile("standard input", (), lambda: BytesIO(content))) as image:
            return Picture(pixels_of(image), None, "stdin")
    except Exception as error:  # Pillow raises whatever its parsers stumble over
        raise DataError(f"what came through the pipe cannot be read: {cause(error)}") from None
