"""Whether a file holds images, by its first bytes: image files, archives, and arrays of images."""

from __future__ import annotations

import lzma
import re
import tarfile
import zlib
from pathlib import Path

# PNG, JPEG, GIF, TIFF (both byte orders), WebP, BMP with its length and two empty fields, and the six of PBM to PPM.
IMAGE = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF.{4}WEBP|BM.{4}\0{4}|P[1-6]\s(?:#[^\n]*\n|\s)*\d+\s+\d+\s",
    re.DOTALL,
)
# idx arrays, and zip archives: npz files are such.
HOLDER = re.compile(rb"\0\0[\x08-\x0e][\x01-\x04]|PK(?:\x03\x04|\x05\x06)", re.DOTALL)
GZIP = b"\x1f\x8b"
ENOUGH = 512


def is_image_file(path: Path) -> bool:
    """Whether a regular file begins as an image, an archive or an array of images does.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        begin = file.read(ENOUGH)
    if IMAGE.match(begin) or HOLDER.match(begin):
        return True
    if begin.startswith(GZIP) and HOLDER.match(_unzipped(begin)):
        return True
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, ValueError, zlib.error, lzma.LZMAError):  # compressed, and not to its end
        return False


def _unzipped(begin: bytes) -> bytes:
    """The first bytes behind the first bytes of a gzip file."""
    try:
        return zlib.decompressobj(wbits=31).decompress(begin, ENOUGH)
    except zlib.error:
        return b""
