"""One opened image: its form, told by its header, and its pixels in that form.

Both use the same reading of its orientation and of its channels, so that they cannot disagree: the size of a
set is settled by the headers of its images, long before they are decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

MAX_PIXELS = 2**26
MAX_CHUNKS = 100_000
MAX_METADATA_BYTES = 2**20
ORIENTATION = ExifTags.Base.Orientation
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# How many steps of an 8-bit pixel one step of a PNG's 1, 2 or 4 bits is, by Pillow's name for them.
PNG_STEPS = {"L;2": 85, "L;4": 17}

Pixels = NDArray[np.uint8]

# By orientation: which row and column of what is stored is shown first, and in which order they come.
_UPRIGHT: Mapping[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
_SIDEWAYS = (5, 6, 7, 8)


class Form(NamedTuple):
    """Size in pixels, and 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels."""

    height: int
    width: int
    channels: int


def form_of(image: Image.Image) -> Form:
    """The form of an image as it is shown, from its header.

    Raises:
        ValueError: its pixels have no meaning here.
    """
    width, height = image.size
    turned = isinstance(image, TiffImageFile) and ORIENTATION in image.tag_v2  # Pillow has turned this size already
    if _orientation(image) in _SIDEWAYS and not turned:
        width, height = height, width
    return Form(height, width, len(_mode(image)))


def pixels_of(image: Image.Image) -> Pixels:
    """Upright pixels `(height, width, channels)` of 8 bits, in the channels of `form_of`.

    Raises:
        ValueError: its pixels have no meaning here; Pillow raises others for damaged ones.
    """
    mode = _mode(image)
    orientation = 1 if isinstance(image, TiffImageFile) else _orientation(image)  # Pillow itself turns a TIFF
    pixels = _sixteen_bits(image) if image.mode.startswith("I") else np.asarray(_eight_bits(image, mode))
    return _UPRIGHT[orientation](pixels.reshape(*pixels.shape[:2], -1))


# Orientation -------------------------------------------------------------------------------------------------


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts, by EXIF or, where that says nothing, by XMP; 1 where neither can be read."""
    with contextlib.suppress(Exception):  # Pillow raises whatever its parsers stumble over
        if isinstance(image, PngImageFile):
            _read_late_metadata(image)
        # Pillow's own method for PNG would decode the image first, for the sake of what was just read.
        found = Image.Image.getexif(image).get(ORIENTATION)
        return found if isinstance(found, int) and found in _UPRIGHT else 1
    return 1


def _read_late_metadata(image: PngImageFile) -> None:
    """Let an image know of the EXIF and XMP that a PNG may have after its pixels, which Pillow has not read yet."""
    file = image.fp
    if file is None or "exif" in image.info or "xmp" in image.info:
        return
    place = file.tell()
    file.seek(8)
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or kind == b"IEND":
            break
        content = file.read(length) if kind in (b"eXIf", b"iTXt") and length <= MAX_METADATA_BYTES else b""
        if kind == b"eXIf":
            image.info["exif"] = b"Exif\0\0" + content
        elif content.startswith(XMP_KEYWORD):
            image.info["xmp"] = content
        file.seek(length + 4 - len(content), 1)
    file.seek(place)


# What its channels are ----------------------------------------------------------------------------------------


def _mode(image: Image.Image) -> str:
    """What Pillow calls grey or colour, opaque or not."""
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.mode == "I" and image.format != "PPM":  # of a PPM, Pillow makes values from 0 to 65,535
        raise ValueError("signed or 32-bit pixels, which do not say what is white")
    grey = image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16") or _raw_mode(image) == "LA;16B"
    return ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")


def _raw_mode(image: Image.Image) -> str:
    """How a PNG stores its pixels, by Pillow's name for it; empty for other files."""
    return str(image.tile[0].args) if isinstance(image, PngImageFile) and image.tile else ""


def _eight_bits(image: Image.Image, mode: str) -> Image.Image:
    """An image in one of the four modes."""
    raw = _raw_mode(image)
    colour = image.info.get("transparency")
    # The colour that is transparent is told in the bits that are stored, which are not those of the pixels.
    if isinstance(colour, int) and raw in PNG_STEPS:
        image.info["transparency"] = colour * PNG_STEPS[raw] & 255
    elif isinstance(colour, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    if raw == "LA;16B":  # Pillow knows no grey with alpha of 16 bits, and makes it RGBA
        grey, _, _, alpha = image.split()
        return Image.merge("LA", (grey, alpha))
    return image.convert(mode)


def _sixteen_bits(image: Image.Image) -> Pixels:
    """Grey of 8 bits from more, which Pillow would cut off at 255; with alpha where one value is transparent."""
    largest, white_is_zero = 65535, False
    if isinstance(image, TiffImageFile):
        largest = 2 ** int(image.tag_v2.get(BITSPERSAMPLE, (16,))[0]) - 1
        white_is_zero = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0
    wide = np.asarray(image).astype(np.int64).clip(0, largest)
    grey = (255 * wide + largest // 2) // largest
    grey = (255 - grey if white_is_zero else grey).astype(np.uint8)
    clear = image.info.get("transparency")
    if not image.has_transparency_data:
        return grey
    return np.stack([grey, np.where(wide == clear, 0, 255).astype(np.uint8)], axis=2)
