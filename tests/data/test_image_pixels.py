"""What an image's header tells of is what its pixels are, and these are right: worked by hand, bit by bit."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_holders import encoded, picture
from numpy.typing import NDArray
from PIL import Image

from seqgen.data.image_files import Faults, ImageFiles
from seqgen.data.image_folders import in_file
from seqgen.data.image_pixels import Form, form_of, pixels_of

ORIENTATION = 0x0112
# The places that the stored rows ABC / DEF have when seen, by the table of the EXIF standard: row 0 is the visual
# top (1), top (2), bottom (3), bottom (4), left (5), right (6), right (7), left (8), column 0 the left, right, ...
SEEN = {
    1: ["ABC", "DEF"],
    2: ["CBA", "FED"],
    3: ["FED", "CBA"],
    4: ["DEF", "ABC"],
    5: ["AD", "BE", "CF"],
    6: ["DA", "EB", "FC"],
    7: ["FC", "EB", "DA"],
    8: ["CF", "BE", "AD"],
}
TILE = 16  # a JPEG mixes neighbours, so each letter is a square


def read(content: bytes) -> tuple[Form, NDArray[np.uint8]]:
    with Image.open(BytesIO(content)) as image:
        form = form_of(image)
    with Image.open(BytesIO(content)) as image:
        return form, pixels_of(image)


def refused(tmp_path: Path, content: bytes) -> str:
    """What is said of a file that is passed over: by both passes."""
    path = tmp_path / "image"
    path.write_bytes(content)
    source, faults = ImageFiles(str(path), partial(in_file, str(path))), Faults()
    assert not source.forms
    assert list(source.read((8, 8), faults)) == []
    return str(faults)


def xmp(orientation: int, *, element: bool = False) -> bytes:
    if element:
        return f"<rdf:Description><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>".encode()
    return f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(bits: int, colour: int, width: int, rows: list[bytes], *before: bytes, after: bytes = b"") -> bytes:
    """A PNG put together by hand from its stored rows."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *before, chunk(b"IDAT", pixels), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(values: NDArray[Any], bits: int, *, photometric: int = 1, sample_format: int = 1) -> bytes:
    """A grey TIFF put together by hand: a header, the tags, the pixels; little endian."""
    tags = {256: values.shape[1], 257: values.shape[0], 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1}
    content = values.tobytes()
    tags |= {278: values.shape[0], 279: len(content), 339: sample_format}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + content


# How an image stands ------------------------------------------------------------------------------------------


def letters() -> Image.Image:
    """Squares of 20, 60, 100 / 140, 180, 220."""
    values = np.array([[20, 60, 100], [140, 180, 220]], np.uint8)
    return Image.fromarray(np.kron(values, np.ones((TILE, TILE), np.uint8)))


def as_letters(pixels: NDArray[np.uint8]) -> list[str]:
    levels = pixels[TILE // 2 :: TILE, TILE // 2 :: TILE, 0].astype(int)
    return ["".join("ABCDEF"[round((level - 20) / 40)] for level in row) for row in levels]


def oriented(kind: str, where: str, orientation: int) -> bytes:
    """The letters with an orientation in one of the places where programs put it."""
    options: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if where == "exif":
        return encoded(letters(), kind, exif=exif, **options)
    if where == "late exif":
        whole = encoded(letters(), kind)
        return whole[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + whole[-12:]
    content = xmp(orientation, element="element" in where)
    if kind == "png":
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + content)
        whole = encoded(letters(), kind)
        place = len(whole) - 12 if "late" in where else 33
        return whole[:place] + text + whole[place:]
    if kind == "tiff":
        return encoded(letters(), kind, tiffinfo={700: content}, **options)
    return encoded(letters(), kind, xmp=content, **options)


PLACES = [
    *((kind, where) for kind in ("jpeg", "png", "webp", "tiff") for where in ("exif", "xmp", "xmp element")),
    *(("png", "late exif"), ("png", "late xmp")),
]


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize(("kind", "where"), PLACES)
def test_an_image_is_seen_upright_wherever_its_orientation_is_told(kind: str, where: str, orientation: int) -> None:
    form, pixels = read(oriented(kind, where, orientation))
    assert as_letters(pixels) == SEEN[orientation]
    assert pixels.shape == form


@pytest.mark.parametrize("kind", ["jpeg", "webp", "tiff"])
def test_exif_goes_before_xmp(kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    more = {"tiffinfo": {ORIENTATION: 3, 700: xmp(6)}} if kind == "tiff" else {"exif": exif, "xmp": xmp(6)}
    form, pixels = read(encoded(letters(), kind, **more))
    assert as_letters(pixels) == SEEN[3]
    assert pixels.shape == form


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("told", [{ORIENTATION: 6}, {700: xmp(6)}])
def test_a_compressed_tiff_is_turned_once(compression: str, told: dict[int, Any]) -> None:
    form, pixels = read(encoded(letters(), "tiff", compression=compression, tiffinfo=told))
    assert as_letters(pixels) == SEEN[6]
    assert pixels.shape == form


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(orientation: int) -> None:
    for kind in ("jpeg", "png", "webp", "tiff"):
        form, pixels = read(oriented(kind, "exif", orientation))
        assert as_letters(pixels) == SEEN[1]
        assert pixels.shape == form


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_metadata_that_cannot_be_read_turns_nothing(kind: str) -> None:
    form, pixels = read(encoded(letters(), kind, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", lossless=True))
    assert as_letters(pixels) == SEEN[1]
    assert pixels.shape == form


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"]
KINDS = {
    "jpeg": ["L", "RGB", "CMYK"],
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "webp": ["RGB", "RGBA"],
    "tiff": MODES,
    "gif": ["P", "L"],
    "bmp": ["1", "L", "P", "RGB"],
    "ppm": ["1", "L", "RGB"],
}


@given(data=st.data())
def test_the_header_tells_what_the_pixels_are(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    mode = data.draw(st.sampled_from(KINDS[kind]))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    image = Image.new(mode, size)
    options: dict[str, Any] = {}
    exif = Image.Exif()
    orientations = st.integers(1, 8) if kind == "tiff" else st.integers(0, 9)  # libtiff writes no others
    if (orientation := data.draw(st.none() | orientations)) is not None:
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    if kind in ("jpeg", "webp") and data.draw(st.booleans()):
        options["xmp"] = xmp(data.draw(st.integers(0, 9)), element=data.draw(st.booleans()))
    if kind == "png" and mode in ("1", "L", "P", "I;16") and data.draw(st.booleans()):
        options["transparency"] = data.draw(st.integers(0, 1 if mode == "1" else 255))
    if kind == "tiff":
        options["compression"] = data.draw(st.sampled_from([None, "tiff_lzw"]))
    form, pixels = read(encoded(image, kind, **options))
    assert pixels.shape == form
    assert pixels.dtype == np.uint8
    assert sorted(form[:2]) == sorted(size)


# What its pixels are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "rows", "told", "expected"),
    [
        # 1 bit: 1 0 1 1; the value 1 is clear.
        (1, [b"\xb0"], 1, [[255, 0], [0, 255], [255, 0], [255, 0]]),
        # 2 bits: 0 1 2 3 are 0 85 170 255; the value 1 is clear.
        (2, [b"\x1b"], 1, [[0, 255], [85, 0], [170, 255], [255, 255]]),
        # 4 bits: 0 1 8 15 are 0 17 136 255; the value 8 is clear.
        (4, [b"\x01\x8f"], 8, [[0, 255], [17, 255], [136, 0], [255, 255]]),
        (8, [b"\x00\x01\x80\xff"], 128, [[0, 255], [1, 255], [128, 0], [255, 255]]),
        # 16 bits: 0, 257 and 128 (a half of one level, and less than it) are 0, 1 and 0; the value 128 alone is clear.
        (16, [struct.pack(">4H", 0, 257, 128, 65535)], 128, [[0, 255], [1, 255], [0, 0], [255, 255]]),
        (16, [struct.pack(">4H", 0, 257, 128, 65535)], 0, [[0, 0], [1, 255], [0, 255], [255, 255]]),
    ],
)
def test_one_grey_of_a_png_may_be_clear(bits: int, rows: list[bytes], told: int, expected: list[list[int]]) -> None:
    form, pixels = read(png(bits, 0, 4, rows, chunk(b"tRNS", struct.pack(">H", told))))
    assert form == (1, 4, 2)
    assert pixels[0].tolist() == expected


def test_one_colour_of_a_png_of_16_bits_may_be_clear() -> None:
    row = struct.pack(">6H", 257, 514, 65535, 0, 0, 0)
    form, pixels = read(png(16, 2, 2, [row], chunk(b"tRNS", row[:6])))
    assert form == (1, 2, 4)
    assert pixels[0].tolist() == [[1, 2, 255, 0], [0, 0, 0, 255]]


def test_grey_and_alpha_of_16_bits_are_grey() -> None:
    form, pixels = read(png(16, 4, 2, [struct.pack(">4H", 257 * 200, 257 * 7, 0, 65535)]))
    assert form == (1, 2, 2)
    assert pixels[0].tolist() == [[200, 7], [0, 255]]


@pytest.mark.parametrize("clear", [1, b"\xff\x00\x80"])
def test_colours_of_a_palette_may_be_clear(clear: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for i in range(3):
        image.putpixel((i, 0), i)
    form, pixels = read(encoded(image, "png", transparency=clear))
    assert form == (1, 3, 4)
    alpha = [255, 0, 255] if clear == 1 else [255, 0, 128]
    assert pixels[0].tolist() == [[255, 0, 0, alpha[0]], [0, 255, 0, alpha[1]], [0, 0, 255, alpha[2]]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff(np.array([[0, 257, 65535]], "<u2"), 16), [0, 1, 255]),
        (tiff(np.array([[0, 257, 65535]], "<u2"), 16, photometric=0), [255, 254, 0]),  # 0 is white
        # Two values of 12 bits in three bytes, the highest first: 0 and 4095, 2056 (8 * 257) and 16.
        (tiff(np.array([[0x00, 0x0F, 0xFF, 0x80, 0x80, 0x10]], np.uint8), 12), None),
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 257, 65535), [0, 1, 255]),
        (b"P5 3 1 1000\n" + struct.pack(">3H", 0, 500, 1000), [0, 128, 255]),  # 127.5 is rounded up
        (b"P5 3 1 100\n" + bytes([0, 50, 100]), [0, 128, 255]),
        (b"P4 3 1\n" + bytes([0b01000000]), [255, 0, 255]),
    ],
)
def test_grey_of_other_depths(content: bytes, expected: list[int] | None) -> None:
    if expected is None:
        content = content.replace(struct.pack("<HHII", 256, 4, 1, 6), struct.pack("<HHII", 256, 4, 1, 4))
        expected = [0, 255, 128, 1]  # 2056 / 4095 * 255 = 128.03, 16 / 4095 * 255 = 1.0
    form, pixels = read(content)
    assert form == (1, len(expected), 1)
    assert pixels[0, :, 0].tolist() == expected


def test_big_endian_sixteen_bits() -> None:
    image = Image.frombytes("I;16B", (2, 1), struct.pack(">2H", 257, 65535))
    assert read(encoded(image, "tiff"))[1].tolist() == [[[1], [255]]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (tiff(np.array([[0, 70_000]], "<u4"), 32), "signed or 32-bit pixels"),
        (tiff(np.array([[0, -5]], "<i4"), 32, sample_format=2), "signed or 32-bit pixels"),
        (tiff(np.array([[0, -5]], "<i2"), 16, sample_format=2), "signed or 32-bit pixels"),
        (tiff(np.array([[0.5, np.nan]], "<f4"), 32, sample_format=3), "floating-point pixels"),
        (b"Pf 2 1 -1.0\n" + np.array([0.5, np.inf], "<f4").tobytes(), "floating-point pixels"),
    ],
)
def test_pixels_without_a_meaning_are_passed_over_by_both_passes(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (255, 128, 128), (255, 255, 255)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),  # 76 + 1.402 * 127 = 254.05, and below 0 for green; 76 - 1.772 * 43
        ("LAB", (255, 128, 128), (255, 255, 255)),
        ("LAB", (0, 128, 128), (0, 0, 0)),
    ],
)
def test_other_colour_spaces(mode: str, colour: tuple[int, ...], expected: tuple[int, ...]) -> None:
    _, pixels = read(encoded(Image.new(mode, (2, 2), colour), "tiff"))
    assert np.abs(pixels[0, 0].astype(int) - expected).max() <= 1


def test_alpha_that_colours_were_multiplied_by_is_divided_out() -> None:
    image = Image.new("RGBA", (1, 1), (200, 100, 0, 128)).convert("RGBa")
    whole = encoded(Image.merge("RGBA", image.split()), "tiff")
    associated = whole.replace(struct.pack("<HHIHH", 338, 3, 1, 2, 0), struct.pack("<HHIHH", 338, 3, 1, 1, 0))
    assert associated != whole
    assert np.abs(read(associated)[1][0, 0].astype(int) - (200, 100, 0, 128)).max() <= 1


def test_the_pixels_of_a_plain_image_are_the_image() -> None:
    assert np.array_equal(read(encoded(picture()))[1], np.asarray(picture()))
