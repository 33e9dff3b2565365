"""Fuzz: any bytes given as images, arrays of images, archives or statistics are read, or refused in one sentence."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import damaged, fuzz, only_below, survives
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seqgen.config import ImageConfig
from seqgen.data.images import build_images
from seqgen.errors import DataError
from seqgen.metrics.image_statistics import ImageStatistics, is_statistics, read_statistics

pytestmark = pytest.mark.slow

# Valid contents -----------------------------------------------------------------------------------------------

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def _encoded(format: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY).convert(mode).save(file, format, **options)
    return file.getvalue()


def _sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def _wide(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY.astype(np.uint16) * 257).save(file, format)
    return file.getvalue()


def _animated(format: str) -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(np.roll(GREY, i)) for i in range(3)]
    frames[0].save(file, format, save_all=True, append_images=frames[1:])
    return file.getvalue()


def _indexed() -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(GREY).convert("P")
    image.save(file, "PNG", transparency=3)
    return file.getvalue()


IMAGES = [
    *(_encoded(format) for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")),
    *(_encoded("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA")),
    *(_encoded("TIFF", mode) for mode in ("1", "L", "CMYK", "LAB", "F", "I")),
    *(_encoded(format, exif=_sideways()) for format in ("PNG", "JPEG", "TIFF", "WEBP")),
    _encoded("JPEG", xmp=b'<rdf:Description tiff:Orientation="6"/>'),
    *(_wide(format) for format in ("PNG", "TIFF")),
    *(_animated(format) for format in ("GIF", "WEBP", "PNG", "TIFF")),
    _encoded("TIFF", compression="tiff_lzw"),
    _indexed(),
]


def _idx(shape: tuple[int, ...], content: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + content


IDX = [
    _idx((3, 6, 8), GREY.tobytes() * 3),
    _idx((2, 6, 8, 3), GREY.tobytes() * 6),
    gzip.compress(_idx((3, 6, 8), GREY.tobytes() * 3)),
]


def _npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


ARRAYS = [
    _npy(np.stack([GREY] * 3)),
    _npy(np.stack([GREY] * 12).reshape(3, 6, 8, 4)),
    _npy(np.asfortranarray(np.stack([GREY] * 3))),
    _npy(np.stack([GREY] * 3) / 255),
    _npy(np.array([0, 1, 0])),
    _npy(np.array(["a", "b", "a"])),
    _npy(np.array([{}, [], None], dtype=object)),
    _npy(np.array(3)),
    _npy(np.zeros((0, 4, 4), np.uint8)),
]

STATISTICS = ImageStatistics(np.arange(3.0), np.eye(3), "pixels", 12)


def _claiming(shape: tuple[int, ...]) -> bytes:
    """An array of four numbers whose header says that it has another shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + np.arange(4.0).tobytes()


MOMENTS = [
    *(_npy(array) for array in (np.arange(3.0), np.eye(3), np.array("pixels"), np.array(12), np.eye(2) * 1e308)),
    *(_claiming(shape) for shape in ((2**31,), (2**62,), (2**20, 2**20), (4, -1))),
]

PLACES = [
    "a/1.png",
    "a/2.png",
    "b/3.jpg",
    "4",
    "./a/5.png",
    "a//6.png",
    "a\\7.png",
    "all/8",
    "red, ripe/9.png",
    " /10.png",
    "a/",
]
ODD_PLACES = [
    "../11.png",
    "/12.png",
    "a/../../13.png",
    "C:\\14.png",
    "con/15.png",
    "__MACOSX/a/._1.png",
    ".16.png",
    "",
    "\udcff/17.png",
]
ODD_LETTERS = ["\x1b[2J/18.png", "\u202e/19.png", "a/\0.png", "x" * 300 + "/20.png"]
NAMES = st.sampled_from([*PLACES, *ODD_PLACES, *ODD_LETTERS])
SIZES = st.sampled_from(["", "4", "5x9"])

# Repairs: without these nearly all damage would end at a checksum ---------------------------------------------


def _with_png_checksums(content: bytes) -> bytes:
    """The same PNG with the CRC of each whole chunk as it should be; other content as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    repaired, place = bytearray(content), 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            break
        repaired[end : end + 4] = zlib.crc32(content[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(repaired)


def _zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name.encode(errors="replace").decode()  # as a hostile writer leaves it, not as ours would
            info.compress_type = compression
            archive.writestr(info, content)
    return file.getvalue()


def _tarred(members: list[tuple[str, bytes]], kind: bytes, compression: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name.replace("\0", ""))
            info.type, info.size, info.linkname = kind, len(content), "/etc/hostname"
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


MEMBERS = st.lists(st.tuples(NAMES, st.one_of(st.sampled_from(IMAGES), damaged(IMAGES))), max_size=5)

# Tests --------------------------------------------------------------------------------------------------------


def _build(files: dict[str, bytes], path: str, size: str) -> None:
    """Images from the files of a folder: of a form, of so many bytes, and with labels that can be shown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        with only_below(folder, "data"), survives():
            images = build_images(ImageConfig(paths=(str(folder / path),), image_size=size), folder / "data", print)
            assert images.pixels.ndim == 4
            assert len(images) >= 1
            assert all(label.isprintable() for label in images.classes)


@fuzz
@given(content=damaged(IMAGES), ending=st.sampled_from(["png", "jpg", "txt", ""]), repair=st.booleans(), size=SIZES)
def test_fuzz_image_files(content: bytes, ending: str, repair: bool, size: str) -> None:
    name = f"images/1.{ending}" if ending else "images/1"
    _build({name: _with_png_checksums(content) if repair else content}, "images", size)


@fuzz
@given(content=damaged(IDX), labels=damaged([_idx((3,), b"\0\1\0"), _idx((2,), b"\0\1")]), zipped=st.booleans())
def test_fuzz_idx(content: bytes, labels: bytes, zipped: bool) -> None:
    content = gzip.compress(content) if zipped else content
    _build({"train-images-idx3-ubyte": content, "train-labels-idx1-ubyte": labels}, "train-images-idx3-ubyte", "")


@fuzz
@given(images=damaged(ARRAYS), labels=damaged(ARRAYS), names=st.permutations(["images", "labels", "x", "arr_0"]))
def test_fuzz_npz(images: bytes, labels: bytes, names: list[str]) -> None:
    _build({"some.npz": _zipped([(f"{names[0]}.npy", images), (f"{names[1]}.npy", labels)])}, "some.npz", "")


@fuzz
@given(content=damaged([_zipped([("images.npy", ARRAYS[0]), ("labels.npy", ARRAYS[4])])]))
def test_fuzz_npz_from_outside(content: bytes) -> None:
    _build({"some.npz": content}, "some.npz", "")


COMPRESSIONS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])


@fuzz
@given(members=MEMBERS, compression=COMPRESSIONS, size=SIZES, damage=st.data())
def test_fuzz_zip(members: list[tuple[str, bytes]], compression: int, size: str, damage: st.DataObject) -> None:
    content = _zipped(members, compression)
    if damage.draw(st.booleans()):
        content = damage.draw(damaged([content]))
    _build({"some.zip": content}, "some.zip", size)


KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 5 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)


@fuzz
@given(members=MEMBERS, kind=KINDS, compression=st.sampled_from(["", "gz", "bz2", "xz"]), damage=st.data())
def test_fuzz_tar(members: list[tuple[str, bytes]], kind: bytes, compression: str, damage: st.DataObject) -> None:
    content = _tarred(members, kind, compression)
    if damage.draw(st.booleans()):
        content = damage.draw(damaged([content]))
    _build({"some.tar": content}, "some.tar", "")


def _statistics(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "some.npz"
        path.write_bytes(content)
        with only_below(Path(name)), survives():
            is_statistics(path)
            found = read_statistics(path)
            assert np.isfinite(found.covariance).all()


@fuzz
@given(moments=st.lists(damaged(MOMENTS), min_size=2, max_size=4))
def test_fuzz_statistics(moments: list[bytes]) -> None:
    names = ["mu", "sigma", "features", "images"]
    _statistics(_zipped([(f"{name}.npy", content) for name, content in zip(names, moments, strict=False)]))


@fuzz
@given(content=damaged([STATISTICS.to_bytes()]))
def test_fuzz_statistics_from_outside(content: bytes) -> None:
    _statistics(content)


BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: _with_png_checksums(_encoded("PNG")[:16] + b"\0\1\0\0\0\1\0\0" + _encoded("PNG")[24:]),
    "zip": lambda: _zipped([("a/1.png", bytes(2**28))]),
    "npz": lambda: _zipped([("images.npy", _npy(np.zeros((1, 1, 1), np.uint8))[:-1] + bytes(2**28))]),
    "stats.npz": lambda: _zipped([("mu.npy", _npy(np.zeros(2**26))), ("sigma.npy", _npy(np.eye(2)))]),
    "gz": lambda: gzip.compress(_idx((2**28, 4, 4), bytes(2**22)), 1),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_small_files_that_unpack_to_much_are_refused_within_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(BOMBS[kind]())
    with survives(), pytest.raises(DataError):
        read_statistics(path) if kind == "stats.npz" else build_images(
            ImageConfig(paths=(str(path),)), tmp_path / "data", print
        )
