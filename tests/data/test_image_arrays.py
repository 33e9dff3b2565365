from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seqgen.data.image_arrays import ImageArray, first_bytes, open_idx, open_npz
from seqgen.data.image_files import Faults
from seqgen.data.image_pixels import Form
from seqgen.errors import DataError


def idx(array: NDArray[np.uint8], *, kind: int = 8, shape: tuple[int, ...] | None = None) -> bytes:
    shape = array.shape if shape is None else shape
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + array.tobytes()


def digits(count: int, *shape: int) -> NDArray[np.uint8]:
    shape = shape or (4, 5)
    return (np.arange(count * int(np.prod(shape))) % 251).astype(np.uint8).reshape(count, *shape)


def write(path: Path, content: bytes) -> str:
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return str(path)


def content_of(images: ImageArray) -> tuple[list[object], list[str | None]]:
    pictures = list(images.read((1, 1), Faults()))
    return [picture.pixels.tolist() for picture in pictures], [picture.label for picture in pictures]


# idx ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_idx_images_come_back(tmp_path: Path, ending: str, shape: tuple[int, ...]) -> None:
    images = digits(7, *shape)
    path = write(tmp_path / f"x{ending}", idx(images))
    source = open_idx(path, "")
    assert source.forms == {Form(4, 5, shape[2] if len(shape) == 3 else 1): 7}
    assert content_of(source) == (images.reshape(7, 4, 5, -1).tolist(), [None] * 7)
    assert content_of(source) == content_of(open_idx(path, ""))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("images", "labels"),
    ],
)
def test_the_label_file_beside_it_is_found_by_its_name(tmp_path: Path, images: str, labels: str) -> None:
    path = write(tmp_path / images, idx(digits(3)))
    write(tmp_path / labels, idx(np.array([7, 0, 12], np.uint8)))
    assert content_of(open_idx(path, ""))[1] == ["7", "0", "12"]


def test_a_label_file_that_is_named_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a-images", idx(digits(2)))
    write(tmp_path / "a-labels", idx(np.array([1, 2], np.uint8)))
    other = write(tmp_path / "other.gz", idx(np.array([3, 4], np.uint8)))
    assert content_of(open_idx(path, other))[1] == ["3", "4"]
    with pytest.raises(DataError, match=r"gone cannot be read: No such file"):
        open_idx(path, str(tmp_path / "gone"))


@pytest.mark.parametrize(("count", "claims"), [(4, 4), (2, 2), (0, 0), (3, 2**32 - 1)])
def test_as_many_labels_as_images(tmp_path: Path, count: int, claims: int) -> None:
    path = write(tmp_path / "images", idx(digits(3)))
    write(tmp_path / "labels", idx(np.zeros(count, np.uint8), shape=(claims,)))
    with pytest.raises(DataError, match=rf"labels: {claims:,} labels for 3 images"):
        open_idx(path, "")


def test_truncated_labels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "images", idx(digits(3)))
    write(tmp_path / "labels", idx(np.zeros(2, np.uint8), shape=(3,)))
    with pytest.raises(DataError, match="labels is truncated: 3 labels in its header, 2 in the file"):
        open_idx(path, "")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_header_that_says_more_than_there_is(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"x{ending}", idx(digits(3), shape=(4_000_000_000, 4, 5)))
    source = open_idx(path, "")
    with pytest.raises(DataError, match="is truncated: 4,000,000,000 images in its header, 3 in the file"):
        list(source.read((1, 1), Faults()))


def test_a_header_that_says_less_than_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "x", idx(digits(3), shape=(2, 4, 5)))
    with pytest.raises(DataError, match="more follows after the 2 images"):
        list(open_idx(path, "").read((1, 1), Faults()))


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_gzip_that_was_cut_is_named(tmp_path: Path, keep: float) -> None:
    rng = np.random.default_rng(0)
    whole = gzip.compress(idx(rng.integers(0, 256, (500, 8, 8), dtype=np.uint8)))
    (tmp_path / "x.gz").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"x\.gz cannot be read: Compressed file ended"):
        list(open_idx(str(tmp_path / "x.gz"), "").read((1, 1), Faults()))


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(idx(digits(300))))
    content[40:60] = bytes(20)
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.gz (cannot be read|is truncated|is damaged)"):
        list(open_idx(str(tmp_path / "x.gz"), "").read((1, 1), Faults()))
    (tmp_path / "y.gz").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(DataError, match=r"y\.gz cannot be read: "):
        first_bytes(str(tmp_path / "y.gz"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\0\0\x08\x03\0\0", "cannot be read"),
        (b"\0\0\x0d\x03" + bytes(12), "not an idx file of bytes"),
        (b"\0\0\x08\xff" + bytes(2000), "not an idx file of bytes"),
        (idx(digits(3).reshape(-1)), "an array of 60, but images have 3 dimensions"),
        (idx(digits(1), shape=(1, 2**31, 2**31)), "an array of 1 x 2147483648 x 2147483648, but an image has"),
        (idx(digits(1), shape=(1, 0, 5)), "an image has 1 to 67,108,864 pixels"),
        (idx(digits(1, 3, 8, 8)), "the last of 4 dimensions is that of the channels"),
    ],
)
def test_what_is_no_idx_of_images_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "x", content)
    with pytest.raises(DataError, match=message):
        open_idx(path, "")


def test_an_idx_without_images_has_none(tmp_path: Path) -> None:
    source = open_idx(write(tmp_path / "x", idx(digits(0))), "")
    assert not source.forms
    assert content_of(source) == ([], [])


# npz ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 4)])
def test_npz_images_come_back(tmp_path: Path, save: Callable[..., None], shape: tuple[int, ...]) -> None:
    images = digits(6, *shape)
    save(tmp_path / "x.npz", images=images, labels=np.array([3, -1, 0, 12, 3, 3], ">i4"))
    source = open_npz(str(tmp_path / "x.npz"))
    assert source.forms == {Form(4, 5, shape[2] if len(shape) == 3 else 1): 6}
    assert content_of(source) == (images.reshape(6, 4, 5, -1).tolist(), ["3", "-1", "0", "12", "3", "3"])


def test_npz_labels_may_be_a_column_or_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=digits(3), labels=np.array([[1], [2], [3]], np.uint8))
    assert content_of(open_npz(str(tmp_path / "x.npz")))[1] == ["1", "2", "3"]
    np.savez(tmp_path / "x.npz", images=digits(3))
    assert content_of(open_npz(str(tmp_path / "x.npz")))[1] == [None] * 3


@pytest.mark.parametrize(
    ("arrays", "labels"),
    [
        ({"arr_0": digits(3)}, [None] * 3),
        ({"arr_0": digits(3), "arr_1": np.array([2, 0, 2])}, ["2", "0", "2"]),
        ({"x": digits(3), "y": np.array([[2], [0], [2]], np.uint8)}, ["2", "0", "2"]),
        ({"x": digits(3), "weights": np.array([0.5, 0.1, 0.4]), "names": np.array(["a", "b", "c"])}, [None] * 3),
        ({"x": digits(3), "others": np.array([1, 2])}, [None] * 3),
        ({"images": digits(3), "more": digits(9), "y": np.array([2, 0, 2])}, ["2", "0", "2"]),
    ],
)
def test_the_only_array_that_may_be_images_is_that_whatever_its_name(
    tmp_path: Path, arrays: dict[str, object], labels: list[str | None]
) -> None:
    np.savez(tmp_path / "x", **arrays)  # type: ignore[arg-type]
    source = open_npz(str(tmp_path / "x.npz"))
    assert source.forms.total() == 3
    assert content_of(source)[1] == labels


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no array named images, only nothing"),
        ({"mu": np.zeros(4), "sigma": np.zeros((4, 4))}, "no array named images, only mu, sigma"),
        ({"x_train": digits(2), "x_test": digits(2)}, "several arrays that may be images: x_train, x_test"),
        ({"x": digits(2), "a": np.array([0, 1]), "b": np.array([1, 0])}, "several arrays that may be labels: a, b"),
        ({"images": digits(2).astype(np.float32)}, "type float32, not uint8"),
        ({"images": np.array([None, {}], object)}, "type object, not uint8|an array of 2"),
        ({"images": digits(2, 3, 8, 8)}, "2 x 3 x 8 x 8, but the last"),
        ({"images": np.asfortranarray(digits(2))}, "Fortran order"),
        ({"images": np.uint8(3)}, "array of , but|array of"),
        ({"images": digits(2), "labels": np.zeros(3, np.int64)}, "3 labels for 2 images"),
        ({"images": digits(2), "labels": np.zeros(2)}, "labels are of type float64, not whole numbers"),
        ({"images": digits(2), "labels": np.array([None, 3], object)}, "type object, not whole numbers"),
    ],
)
def test_what_is_no_npz_of_images_is_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        open_npz(str(tmp_path / "x.npz"))


def npz(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return str(path)


def npy(array: NDArray[np.uint8], *, shape: tuple[int, ...] | None = None) -> bytes:
    file = BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape if shape is None else shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def test_an_npz_whose_header_lies_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", {"images": npy(digits(2), shape=(10**12, 4, 5))})
    with pytest.raises(DataError, match="is truncated: 1,000,000,000,000 images in its header, 2 in the file"):
        list(open_npz(path).read((1, 1), Faults()))
    path = npz(tmp_path / "x.npz", {"images": npy(digits(2)), "labels": npy(np.zeros(1, np.uint8), shape=(2,))})
    with pytest.raises(DataError, match="is truncated: 2 labels in its header, 1 in the file"):
        open_npz(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x03\0", b"\x93NUMPY\x01\0\x10\0{'a': bad", b"x" * 99]
)
def test_a_damaged_array_is_named(tmp_path: Path, content: bytes) -> None:
    path = npz(tmp_path / "x.npz", {"images": content})
    with pytest.raises(DataError, match=r"x\.npz"):
        open_npz(path)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", {"images": npy(digits(2), shape=(-2, 4, 5))})
    with pytest.raises(DataError, match="an array cannot be of size -2"):
        open_npz(path)


def test_an_array_named_images_without_dimensions_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", images=np.array(3, np.uint8), labels=np.zeros((3, 6, 8), np.uint8))
    with pytest.raises(DataError, match="images have 3 dimensions"):
        open_npz(str(tmp_path / "some.npz"))
