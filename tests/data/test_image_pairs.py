"""Pairs of images: which halves, which files, and which are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seqgen.config import ImageConfig, PairConfig
from seqgen.data.conditions import derived
from seqgen.data.image_pairs import INDEX, PairSet, build_pairs
from seqgen.errors import DataError

Pixels = NDArray[np.uint8]


def images(count: int, seed: int = 0, channels: int = 3, size: tuple[int, int] = (8, 6)) -> Pixels:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(0, 256, size=(count, *size, channels)).astype(np.uint8)


def save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)


def build(root: Path, *paths: Path, warn: Callable[[str], None] = pytest.fail, size: str = "", **pairs: Any) -> PairSet:
    config = ImageConfig(paths=tuple(map(str, paths)), image_size=size)
    return build_pairs(config, PairConfig(**pairs), root / "made", warn)


def first(pixels: Pixels) -> Pixels:
    """As arrays hold channels."""
    return pixels.transpose(0, 3, 1, 2)


# Side by side -------------------------------------------------------------------------------------------------


def test_the_left_half_is_the_input_of_the_right_one(tmp_path: Path) -> None:
    left, right = images(3), images(3, seed=1)
    for i in range(3):
        save(tmp_path / "d" / f"{i}.png", np.concatenate([left[i], right[i]], axis=1))
    pairs = build(tmp_path, tmp_path / "d")
    assert np.array_equal(pairs.sources, first(left))
    assert np.array_equal(pairs.targets, first(right))
    turned = build(tmp_path, tmp_path / "d", direction="b2a")
    assert np.array_equal(turned.sources, first(right))
    assert np.array_equal(turned.targets, first(left))


def test_the_size_is_that_of_one_half(tmp_path: Path) -> None:
    save(tmp_path / "d/1.png", images(1, size=(16, 32))[0])
    pairs = build(tmp_path, tmp_path / "d", size="8x8", warn=lambda message: None)
    assert pairs.sources.shape == pairs.targets.shape == (1, 3, 8, 8)


def test_single_images_are_no_pairs(tmp_path: Path) -> None:
    save(tmp_path / "odd/1.png", images(1, size=(8, 15))[0])
    with pytest.raises(DataError, match="even width"):
        build(tmp_path, tmp_path / "odd")
    save(tmp_path / "square/1.png", images(1, size=(8, 8))[0])
    said: list[str] = []
    build_pairs(ImageConfig(paths=(str(tmp_path / "square"),)), PairConfig(), tmp_path / "other", said.append)
    assert "taken for a pair side by side, 4x8 each" in said[0]


# Two folders --------------------------------------------------------------------------------------------------


def test_two_folders_are_paired_by_the_names_of_their_files(tmp_path: Path) -> None:
    """Whatever their suffixes, folders, channels and order are; what has no partner is told and left out."""
    a, b = images(4, channels=1), images(4, seed=1)
    for i, name in enumerate(("x/1", "x/2", "y/1", "alone")):
        save(tmp_path / "a" / f"{name}.png", a[i])
    for i, name in enumerate(("y/1", "x/2", "x/1", "single")):
        save(tmp_path / "b" / f"{name}.bmp", b[i])
    said: list[str] = []
    pairs = build(tmp_path, tmp_path / "a", tmp_path / "b", warn=said.append)
    assert np.array_equal(pairs.sources, first(a[:3]))
    assert np.array_equal(pairs.targets, first(b[[2, 1, 0]]))
    assert any("2 images without a partner" in line and "alone, single" in line for line in said)
    again = build(tmp_path, tmp_path / "a", tmp_path / "b")
    assert np.array_equal(again.targets, pairs.targets)


def test_a_damaged_image_takes_its_partner_along(tmp_path: Path) -> None:
    a, b = images(3), images(3, seed=1)
    for i in range(3):
        save(tmp_path / "a" / f"{i}.png", a[i])
        save(tmp_path / "b" / f"{i}.png", b[i])
    (tmp_path / "b/1.png").write_bytes(b"nothing")
    pairs = build(tmp_path, tmp_path / "a", tmp_path / "b", warn=lambda message: None)
    assert np.array_equal(pairs.sources, first(a[[0, 2]]))
    assert np.array_equal(pairs.targets, first(b[[0, 2]]))


def test_folders_without_a_common_name_are_no_pairs(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", images(1)[0])
    save(tmp_path / "b/2.png", images(1)[0])
    with pytest.raises(DataError, match=r"no image of .* has the name") as caught:
        build(tmp_path, tmp_path / "a", tmp_path / "b")
    assert "begin with 1 and 2" in caught.value.hint


def test_two_files_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    for name in ("1.png", "1.bmp"):
        save(tmp_path / "a" / name, images(1)[0])
    save(tmp_path / "b/1.png", images(1)[0])
    with pytest.raises(DataError, match="two images named 1"):
        build(tmp_path, tmp_path / "a", tmp_path / "b")


def test_two_arrays_are_paired_row_by_row(tmp_path: Path) -> None:
    a, b = images(4), images(3, seed=1)
    np.savez(tmp_path / "a.npz", images=a)
    np.savez(tmp_path / "b.npz", images=b)
    said: list[str] = []
    pairs = build(tmp_path, tmp_path / "a.npz", tmp_path / "b.npz", warn=said.append)
    assert np.array_equal(pairs.sources, first(a[:3]))
    assert np.array_equal(pairs.targets, first(b))
    assert "1 image without a partner" in said[0]


# Derived ------------------------------------------------------------------------------------------------------


def test_inputs_are_derived_from_the_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=images(5))
    pairs = build(tmp_path, tmp_path / "a.npz", condition="sketch")
    assert np.array_equal(pairs.targets, first(images(5)))
    assert np.array_equal(pairs.sources, derived(first(images(5)), "sketch"))


def test_data_that_were_made_in_part_are_made_anew(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=images(5))
    pairs = build(tmp_path, tmp_path / "a.npz", condition="grey")
    (tmp_path / "made" / INDEX).unlink()
    (tmp_path / "made/sources.bin").write_bytes(bytes(pairs.sources.size))
    again = build(tmp_path, tmp_path / "a.npz", condition="grey")
    assert np.array_equal(again.sources, derived(first(images(5)), "grey"))
