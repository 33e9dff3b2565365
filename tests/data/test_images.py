from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from seqgen.config import ImageConfig
from seqgen.data.images import INDEX, LABELS, PIXELS, ImageSet, build_images
from seqgen.errors import DataError, UsageError

DATA = Path(os.environ.get("SEQGEN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))

real = pytest.mark.skipif(not DATA.is_dir(), reason="the image sets are not here")


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


def png(path: Path, *colour: int, size: tuple[int, int] = (6, 5)) -> str:
    """A plain image of some height and width, grey, RGB or RGBA."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, len(colour)), colour, np.uint8)
    Image.fromarray(pixels.squeeze(2) if len(colour) == 1 else pixels).save(path)
    return str(path)


def idx_pair(
    folder: Path, count: int, *, size: tuple[int, int] = (4, 5), labels: bool = True
) -> tuple[str, NDArray[np.uint8]]:
    """An idx file of unlike images, and its labels, i modulo 3 for image i."""
    pixels = (np.arange(count * size[0] * size[1]) % 253).astype(np.uint8).reshape(count, *size)
    (folder / "images").write_bytes(struct.pack(">HBB3I", 0, 8, 3, *pixels.shape) + pixels.tobytes())
    if labels:
        content = bytes(i % 3 for i in range(count))
        (folder / "labels").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + content)
    return str(folder / "images"), pixels


def build(tmp_path: Path, *paths: str, warn: Callable[[str], None] = no_warning, **fields: Any) -> ImageSet:
    return build_images(ImageConfig(paths=paths, **fields), tmp_path / "data", warn)


# Building -----------------------------------------------------------------------------------------------------


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path, pixels = idx_pair(tmp_path, 7)
    built = build(tmp_path, path)
    assert len(built) == 7
    assert built.pixels.dtype == np.uint8
    assert np.array_equal(built.pixels, pixels[:, None])
    assert built.classes == ("0", "1", "2")
    assert built.labels is not None
    assert built.labels.dtype == np.int64
    assert built.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_a_batch_is_of_floats_between_minus_one_and_one(tmp_path: Path) -> None:
    for i, value in enumerate((0, 51, 255)):
        png(tmp_path / "in" / f"{i}.png", value, 255 - value, 0)
    built = build(tmp_path, str(tmp_path / "in"))
    pixels, labels = built.read(np.array([2, 0, 1, 2]))
    assert labels is None
    assert pixels.dtype == torch.float32
    assert pixels.shape == (4, 3, 6, 5)
    assert pixels[:, 0, 0, 0].tolist() == pytest.approx([1.0, -1.0, -0.6, 1.0])
    assert pixels[:, 1, 5, 4].tolist() == pytest.approx([-1.0, 1.0, 0.6, -1.0])
    assert pixels.min() == -1.0
    assert pixels.max() == 1.0


def test_labels_come_with_their_images(tmp_path: Path) -> None:
    built = build(tmp_path, idx_pair(tmp_path, 9)[0])
    _, labels = built.read(np.array([4, 8, 0]))
    assert labels is not None
    assert labels.dtype == torch.int64
    assert labels.tolist() == [1, 2, 0]


def test_three_images_are_enough_and_one_too(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / "in" / f"{i}.png", i)
    assert build(tmp_path, str(tmp_path / "in")).pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    one = build(tmp_path / "one", str(tmp_path / "in" / "1.png"))
    assert one.pixels.shape == (1, 1, 6, 5)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_numbered_classes_come_in_the_order_of_their_numbers(tmp_path: Path, kind: str) -> None:
    names = ["10", "2", "ant", "9", "Bee"]
    for i, name in enumerate(names):
        png(tmp_path / "in" / "all" / name / "x.png", i)
    path = tmp_path / "in"
    if kind != "folder":
        path = Path(shutil.make_archive(str(tmp_path / "packed"), kind, path))
    built = build(tmp_path, str(path))
    assert built.classes == ("2", "9", "10", "Bee", "ant")
    assert built.labels is not None
    assert {
        built.classes[label]: int(value) for label, value in zip(built.labels, built.pixels[:, 0, 0, 0], strict=True)
    } == {name: i for i, name in enumerate(names)}


def test_several_paths_are_one_set(tmp_path: Path) -> None:
    png(tmp_path / "a" / "cat" / "1.png", 1, size=(4, 5))
    png(tmp_path / "a" / "0" / "2.png", 2, size=(4, 5))
    np.savez(tmp_path / "b.npz", images=np.full((2, 4, 5), 3, np.uint8), labels=np.array([0, 1]))
    built = build(tmp_path, str(tmp_path / "a"), str(tmp_path / "b.npz"))
    assert built.classes == ("0", "1", "cat")
    assert built.labels is not None
    assert built.labels.tolist() == [0, 2, 0, 1]
    assert built.pixels[:, 0, 0, 0].tolist() == [2, 1, 3, 3]


def test_labels_that_some_images_lack_are_not_used(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", "3.png"):
        png(tmp_path / "in" / name, 0)
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "in"), warn=warnings.append)
    assert (built.labels, built.classes) == (None, ())
    assert warnings == ["1 of 3 images are in no class: the labels of the others are not used"]


@pytest.mark.parametrize(
    ("empty", "said"),
    [
        (["c"], "no images in c: it is no class"),
        (["c", "d"], "no images in c, d: they are no classes"),
        (list("cdefg"), "no images in c, d, e and 2 more: they are no classes"),
    ],
)
def test_classes_without_images_are_named(tmp_path: Path, empty: list[str], said: str) -> None:
    for name in "ab":
        png(tmp_path / "in" / name / "1.png", 0)
    for name in empty:
        (tmp_path / "in" / name).mkdir()
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "in"), warn=warnings.append)
    assert built.classes == ("a", "b")
    assert warnings == [said]


def test_where_one_class_alone_has_images_the_others_are_known(tmp_path: Path) -> None:
    png(tmp_path / "in" / "a" / "1.png", 0)
    for name in ("b", "c\nd"):
        (tmp_path / "in" / name).mkdir()
    built = build(tmp_path, str(tmp_path / "in"))
    assert built.labels is None
    assert built.lacking == "; there is no image in b, c\\nd"
    assert build(tmp_path, "gone").lacking == built.lacking  # a reopened set knows it too


# Size and channels --------------------------------------------------------------------------------------------


def test_the_most_common_size_wins_and_the_others_are_told_of_once(tmp_path: Path) -> None:
    for i, size in enumerate([(9, 9), (8, 10), (8, 10), (16, 20), (10, 8)]):
        png(tmp_path / "in" / f"{i}.png", 10 * i, size=size)
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "in"), warn=warnings.append)
    assert built.pixels.shape == (5, 1, 8, 10)
    assert built.pixels[:, 0, 4, 4].tolist() == [0, 10, 20, 30, 40]
    assert warnings == ["3 of 5 images are not 8 high and 10 wide: resized, and cropped around their centre"]


@pytest.mark.parametrize(("asked", "size"), [("16", (16, 16)), ("12x20", (12, 20)), ("6x5", (6, 5))])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_size_that_is_asked_for_is_height_and_width(
    tmp_path: Path, asked: str, size: tuple[int, int], fit: str
) -> None:
    png(tmp_path / "x.png", 1, 2, 3)
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "x.png"), warn=warnings.append, image_size=asked, fit=fit)
    assert built.pixels.shape == (1, 3, *size)
    assert len(warnings) == (asked != "6x5")
    assert all(("bordered" in warning) == (fit == "pad") for warning in warnings)


@pytest.mark.parametrize(("channels", "found"), [("auto", 3), ("rgb", 3), ("grey", 1)])
def test_one_image_in_colour_makes_all_colour(tmp_path: Path, channels: str, found: int) -> None:
    png(tmp_path / "in" / "1.png", 80)
    png(tmp_path / "in" / "2.png", 80, 80, 80)
    built = build(tmp_path, str(tmp_path / "in"), channels=channels)
    assert built.pixels.shape == (2, found, 6, 5)
    assert np.unique(built.pixels).tolist() == [80]


@pytest.mark.parametrize(("channels", "found"), [("auto", 1), ("rgb", 3)])
def test_grey_stays_grey_unless_asked(tmp_path: Path, channels: str, found: int) -> None:
    assert build(tmp_path, png(tmp_path / "1.png", 80), channels=channels).pixels.shape[1] == found


def test_transparent_images_are_laid_on_white_and_told_of_once(tmp_path: Path) -> None:
    png(tmp_path / "in" / "1.png", 0, 0, 0, 0)
    png(tmp_path / "in" / "2.png", 0, 0, 0, 255)
    png(tmp_path / "in" / "3.png", 0, 0, 0)
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "in"), warn=warnings.append)
    assert built.pixels[:, :, 0, 0].tolist() == [[255] * 3, [0] * 3, [0] * 3]
    assert warnings == ["2 of 3 images have transparency: laid on white"]


@pytest.mark.parametrize("size", [(3, 8), (8, 1025)])
def test_images_of_a_size_that_no_network_is_for_ask_for_another(tmp_path: Path, size: tuple[int, int]) -> None:
    path = png(tmp_path / "1.png", 80, size=size)
    with pytest.raises(DataError, match=f"{size[0]} high and {size[1]} wide, but a side has 4 to 1024") as caught:
        build(tmp_path, path)
    assert "--image-size" in caught.value.hint
    assert build(tmp_path, path, warn=lambda message: None, image_size="8").pixels.shape == (1, 1, 8, 8)


# What cannot be used ------------------------------------------------------------------------------------------


def test_bad_files_are_counted_and_named_and_the_others_are_used(tmp_path: Path) -> None:
    for i in range(3):
        png(tmp_path / "in" / f"{i}.png", i)
    whole = Path(png(tmp_path / "in" / "x.png", 0, size=(64, 64))).read_bytes()
    (tmp_path / "in" / "x.png").write_bytes(whole[:-30])
    (tmp_path / "in" / "notes.txt").write_text("words")
    warnings: list[str] = []
    built = build(tmp_path, str(tmp_path / "in"), warn=warnings.append, image_size="6x5")
    assert built.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert warnings[-1].startswith(f"2 files passed over: {tmp_path / 'in' / 'notes.txt'} (not an image), ")


def test_only_bad_files_are_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(5):
        (tmp_path / "in" / f"{i}.png").write_text("words")
    with pytest.raises(
        DataError, match=r"in: no images; 5 files passed over: .*0\.png \(not an image\), .*, \.\.\.$"
    ) as caught:
        build(tmp_path, str(tmp_path / "in"))
    assert "folder, zip or tar" in caught.value.hint


def test_a_single_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    for content in (b"", b"words", b"\x1f\x8b", gzip.compress(b"words")):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(
            DataError,
            match=r"x(: no images; 1 file passed over: .*x \(not an image\)| cannot be read| looks like text)",
        ):
            build(tmp_path, str(tmp_path / "x"))


def test_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for name in ("in", "empty.zip"):
        with pytest.raises(DataError, match=f"{name}: no images$"):
            build(tmp_path, str(tmp_path / name))
    with pytest.raises(DataError, match="gone: no such file or folder"):
        build(tmp_path, str(tmp_path / "gone"))
    with pytest.raises(DataError, match="no path"):
        build(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("-", str(tmp_path / "pipe")):
        with pytest.raises(DataError, match="cannot come from a pipe"):
            build(tmp_path, path)


def test_a_label_file_belongs_to_one_idx_file(tmp_path: Path) -> None:
    path, _ = idx_pair(tmp_path, 6)
    (tmp_path / "labels").rename(tmp_path / "other")
    assert build(tmp_path / "a", path).labels is None
    assert build(tmp_path / "b", path, labels=str(tmp_path / "other")).classes == ("0", "1", "2")
    with pytest.raises(UsageError, match="is the label file of an idx file"):
        build(tmp_path / "c", str(tmp_path), labels="x")
    with pytest.raises(UsageError, match="there are 2 paths"):
        build(tmp_path / "c", path, path, labels="x")


def test_a_truncated_file_leaves_no_set_behind(tmp_path: Path) -> None:
    path, _ = idx_pair(tmp_path, 6)
    Path(path).write_bytes(Path(path).read_bytes()[:-1])
    with pytest.raises(DataError, match="images is truncated: 6 images in its header, 5 in the file"):
        build(tmp_path, path)
    assert not (tmp_path / "data" / INDEX).exists()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    count = 5000
    path, pixels = idx_pair(tmp_path, count, size=(16, 16))
    size = pixels.nbytes
    del pixels
    build(tmp_path / "first", path)  # imports and caches
    tracemalloc.start()
    try:
        build(tmp_path, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A label is held as it is read and once more in the order of the classes, 8 bytes each.
    assert peak < 32 * count + 50_000 < size / 5


# Reopening ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [True, False])
def test_a_reopened_set_is_the_same_without_its_source(tmp_path: Path, labels: bool) -> None:
    path, _ = idx_pair(tmp_path, 7, labels=labels)
    built = build(tmp_path, path)
    Path(path).unlink()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    again = build_images(ImageConfig(paths=("gone",)), tmp_path / "elsewhere", no_warning)
    assert np.array_equal(again.pixels, built.pixels)
    assert again.classes == built.classes == (("0", "1", "2") if labels else ())
    assert (again.labels is None) == (built.labels is None) == (not labels)
    assert again.labels is None or again.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("name", [PIXELS, LABELS])
def test_a_file_that_was_cut_or_lost_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = idx_pair(tmp_path, 7)
    build(tmp_path, path)
    with (tmp_path / "data" / name).open("ab") as file:
        file.truncate(file.tell() - 1)
    with pytest.raises(DataError, match="does not hold the whole images") as caught:
        build(tmp_path, path)
    assert "delete" in caught.value.hint
    (tmp_path / "data" / name).unlink()
    with pytest.raises(DataError, match="does not hold the whole images"):
        build(tmp_path, path)


@pytest.mark.parametrize(
    "index",
    [b"", b"\xff", b"[]", b"3", b"{}", b'{"shape": 3}', b"[" * 9999, {"shape": [7, 1, 4, 5]}, {"shape": [0] * 4}],
)
def test_a_damaged_index_is_refused(tmp_path: Path, index: bytes | dict[str, Any]) -> None:
    path, _ = idx_pair(tmp_path, 7)
    build(tmp_path, path)
    (tmp_path / "data" / INDEX).write_bytes(index if isinstance(index, bytes) else json.dumps(index).encode())
    with pytest.raises(DataError, match="does not hold the whole images"):
        build(tmp_path, path)


def test_what_a_killed_build_left_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, pixels = idx_pair(tmp_path, 7)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("seqgen.modeldir.write_file", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, path)
    (tmp_path / "data" / "old").write_text("older")
    assert np.array_equal(build(tmp_path, path).pixels[:, 0], pixels)
    assert not (tmp_path / "data" / "old").exists()


def test_the_same_images_make_the_same_files(tmp_path: Path) -> None:
    for name in ("a/2.png", "b/1.png", "a/10.png"):
        png(tmp_path / "in" / name, 9, 8, 7)
    for name in "ab":
        build(tmp_path / name, str(tmp_path / "in"))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()} for name in "ab"]
    assert files[0] == files[1]
    assert set(files[0]) == {INDEX, PIXELS, LABELS}


# Real images --------------------------------------------------------------------------------------------------


@real
def test_digits_and_their_labels(tmp_path: Path) -> None:
    path = DATA / "mnist" / "t10k-images-idx3-ubyte.gz"
    built = build(tmp_path, str(path))
    assert built.pixels.shape == (8000, 1, 28, 28)
    assert built.classes == tuple("0123456789")
    assert built.labels is not None
    assert built.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert built.pixels.tobytes() == gzip.decompress(path.read_bytes())[16:]


@real
def test_photos_in_a_zip_of_class_folders(tmp_path: Path) -> None:
    path = DATA / "cifar10" / "cifar10_test500.zip"
    built = build(tmp_path, str(path))
    assert built.pixels.shape == (500, 3, 32, 32)
    assert (built.classes[0], built.classes[9]) == ("airplane", "truck")
    assert built.labels is not None
    assert np.bincount(built.labels).tolist() == [50] * 10
    with zipfile.ZipFile(path) as archive:
        last = Image.open(BytesIO(archive.read(archive.namelist()[-1])))
        assert np.array_equal(built.pixels[-1].transpose(1, 2, 0), np.asarray(last))


@real
def test_arrays_of_emoji(tmp_path: Path) -> None:
    path = DATA / "emoji64" / "twemoji64.npz"
    built = build(tmp_path, str(path))
    assert np.array_equal(built.pixels.transpose(0, 2, 3, 1), np.load(path)["images"])
    assert built.labels is not None
    assert np.array_equal(built.labels, np.load(path)["labels"])


@real
def test_facades_as_rectangles(tmp_path: Path) -> None:
    warnings: list[str] = []
    built = build(tmp_path, str(DATA / "facades" / "val"), warn=warnings.append, image_size="16x32")
    assert built.pixels.shape == (20, 3, 16, 32)
    assert built.labels is None
    assert warnings == ["20 of 20 images are not 16 high and 32 wide: resized, and cropped around their centre"]
    assert 20 < built.pixels.std() < 100
