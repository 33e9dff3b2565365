from __future__ import annotations

import re
import struct
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_holders import HOLDERS, PNG, encoded, picture, tarred, zipped
from PIL import Image

from seqgen.data.image_files import Faults, ImageFiles
from seqgen.data.image_folders import in_file
from seqgen.data.image_pixels import Form

ORIENTATION = 0x0112


def labels_of(source: ImageFiles, faults: Faults | None = None) -> list[str | None]:
    return [found.label for found in source.read((2, 3), faults or Faults())]


def decoded(tmp_path: Path, content: bytes) -> tuple[Form, list[Any]]:
    """The form that the header tells of, and the pixels."""
    path = tmp_path / "image"
    path.write_bytes(content)
    source, faults = ImageFiles(str(path), partial(in_file, str(path))), Faults()
    (found,) = source.read((64, 64), faults)
    (form,) = source.forms
    assert not faults.count
    assert found.pixels.dtype == np.uint8
    assert found.pixels.shape == form
    return form, found.pixels.tolist()


# Formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "webp", "gif"])
def test_formats_that_lose_nothing(tmp_path: Path, kind: str) -> None:
    image = picture("P") if kind == "gif" else picture()
    form, pixels = decoded(tmp_path, encoded(image, kind, **({"lossless": True} if kind == "webp" else {})))
    assert form == (2, 3, 3)
    assert pixels == np.asarray(image.convert("RGB")).tolist()


@pytest.mark.parametrize(
    ("mode", "kind", "channels"),
    [
        *(("1", "png", 1), ("L", "png", 1), ("LA", "png", 2), ("P", "png", 3), ("RGB", "png", 3), ("RGBA", "png", 4)),
        *(("CMYK", "tiff", 3), ("YCbCr", "tiff", 3), ("LAB", "tiff", 3), ("L", "jpeg", 1), ("CMYK", "jpeg", 3)),
        *(("L", "ppm", 1), ("1", "bmp", 1), ("L", "gif", 3)),
    ],
)
def test_every_mode_is_grey_or_colour_opaque_or_not(tmp_path: Path, mode: str, kind: str, channels: int) -> None:
    form, pixels = decoded(tmp_path, encoded(picture(mode), kind))
    assert form.channels == channels
    expected = np.asarray(
        Image.open(BytesIO(encoded(picture(mode), kind))).convert(("L", "LA", "RGB", "RGBA")[channels - 1])
    )
    assert pixels == expected.reshape(2, 3, channels).tolist()


@pytest.mark.parametrize(("mode", "channels"), [("L", 2), ("P", 4), ("RGB", 4)])
def test_one_colour_may_be_transparent(tmp_path: Path, mode: str, channels: int) -> None:
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((1, 0), (8, 8, 8) if mode == "RGB" else 8)
    form, pixels = decoded(tmp_path, encoded(image, transparency=(0, 0, 0) if mode == "RGB" else 0))
    assert form == (1, 2, channels)
    assert [pixel[-1] for pixel in pixels[0]] == [0, 255]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_become_eight(tmp_path: Path, kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    form, pixels = decoded(tmp_path, encoded(Image.fromarray(values), kind))
    assert form == (1, 6, 1)
    # 65535 / 255 = 257 levels of the fine scale make one of the coarse.
    assert np.ravel(pixels).tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bits_of_a_pgm(tmp_path: Path) -> None:
    assert decoded(tmp_path, b"P5 2 1 65535\n" + struct.pack(">2H", 65535, 257))[1] == [[[255], [1]]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    image = Image.new("L", (24, 16), 0)
    image.paste(255, (0, 0, 8, 8))  # the upper left corner as it is stored
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    form, pixels = decoded(tmp_path, encoded(image, kind, exif=exif))
    assert form[:2] == ((24, 16) if orientation >= 5 else (16, 24))
    seen = np.array(pixels).mean(axis=2)
    corners = {(top, left): seen[-top, -left] > 127 for top in (0, 1) for left in (0, 1)}
    # Where EXIF says that the stored first row and column lie: 1 top left, 2 top right, 3 bottom right, ...
    where = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0)][orientation - 1]
    assert [corner for corner, bright in corners.items() if bright] == [where]


def test_a_large_jpeg_may_come_smaller_but_never_small(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded(picture("RGB", 640, 800), "jpeg"))
    source = ImageFiles(str(path), partial(in_file, str(path)))
    assert source.forms == {Form(640, 800, 3): 1}
    (small,), (large,) = source.read((32, 64), Faults()), source.read((320, 200), Faults())
    assert 128 <= min(small.pixels.shape[:2]) < 640
    assert large.pixels.shape == (640, 800, 3)


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (3, 2), value) for value in (10, 20)]
    _, pixels = decoded(tmp_path, encoded(frames[0], "gif", save_all=True, append_images=frames[1:]))
    assert np.unique(pixels).tolist() == [10]


# Labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("above", ["", "all/", "all/of them/"])
def test_class_folders_are_labels_wherever_they_begin(tmp_path: Path, holder: Any, above: str) -> None:
    files = {f"{above}{name}": PNG for name in ("cat/1.png", "cat/deep/er/2.png", "dog/1.png", "eel/x/3.png")}
    source = ImageFiles("x", holder(tmp_path / "x", files))
    assert source.forms == {Form(2, 3, 3): 4}
    assert labels_of(source) == ["cat", "cat", "dog", "eel"]
    assert labels_of(source) == ["cat", "cat", "dog", "eel"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_images_in_one_folder_have_no_label(tmp_path: Path, holder: Any) -> None:
    files = {"all/of/1.png": PNG, "all/of/2.png": PNG, "all/notes/readme.txt": b"text"}
    faults = Faults()
    assert labels_of(ImageFiles("x", holder(tmp_path / "x", files)), faults) == [None, None]
    assert faults.count == 1


@pytest.mark.parametrize("holder", HOLDERS)
def test_images_beside_class_folders_have_no_label(tmp_path: Path, holder: Any) -> None:
    files = {"a/b/1.png": PNG, "a/2.png": PNG, "a/c/3.png": PNG}
    found = labels_of(ImageFiles("x", holder(tmp_path / "x", files)))
    assert sorted(found, key=str) == [None, "b", "c"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_hidden_files_are_left_out_in_silence(tmp_path: Path, holder: Any) -> None:
    names = (".DS_Store", ".git/x.png", "a/.thumb.png", "a/b/.cache/x.png", "a/b/ok.png")
    source, faults = ImageFiles("x", holder(tmp_path / "x", dict.fromkeys(names, PNG))), Faults()
    assert labels_of(source, faults) == [None]
    assert not faults.count


def test_what_other_systems_put_into_archives_is_left_out(tmp_path: Path) -> None:
    source = ImageFiles("x", zipped(tmp_path / "x", {"a/1.png": PNG, "__MACOSX/a/1.png": b"?", "b/2.png": PNG}))
    assert labels_of(source) == ["a", "b"]


def test_a_name_that_would_steer_a_terminal_is_spelled_out(tmp_path: Path) -> None:
    source, faults = (
        ImageFiles("x", tarred(tmp_path / "x", {"\x1b[2J/1.png": PNG, "b/\n2": b"?", "b/2": PNG})),
        Faults(),
    )
    assert labels_of(source, faults) == ["%1B[2J", "b"]
    assert str(faults).isprintable()


# Files that cannot be used ------------------------------------------------------------------------------------


def bomb(height: int, width: int) -> bytes:
    """A small PNG of many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty.png": (b"", "not an image"),
    "text.png": (b"These are words.", "not an image"),
    "cut.png": (encoded(picture("RGB", 64, 64))[:-40], "truncated|broken|incomplete"),
    "header.png": (PNG[:20], "."),
    "cut.jpg": (encoded(picture("RGB", 64, 64), "jpeg")[:-200], "[Tt]runcated"),
    "bomb.png": (bomb(10_000, 10_000), "10000 x 10000 pixels, more than 67,108,864"),
    "nova.png": (bomb(60_000, 60_000), "decompression bomb|pixels"),
    "float.tiff": (encoded(Image.new("F", (2, 2), 0.5), "tiff"), "floating-point pixels"),
    "script.eps": (encoded(picture(), "eps"), "not an image"),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_its_cause_and_the_others_go_on(tmp_path: Path, holder: Any, name: str) -> None:
    content, cause = BAD[name]
    source = ImageFiles("x", holder(tmp_path / "x", {"a.png": PNG, name: content, "z.png": PNG}))
    faults = Faults()
    assert len(labels_of(source, faults)) == 2
    assert faults.count == 1
    (fault,) = faults.first
    assert re.search(rf"{re.escape(name)} \(.*({cause})", fault)


def test_faults_are_counted_and_the_first_are_named() -> None:
    faults = Faults()
    for i in range(1200):
        faults.add(f"{i}.png", ValueError("odd\nand more"))
    assert str(faults) == "1,200 files passed over: 0.png (odd), 1.png (odd), 2.png (odd), ..."
    faults = Faults()
    faults.add("x", ValueError())
    assert str(faults) == "1 file passed over: x (ValueError)"
