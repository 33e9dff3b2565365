"""What data was made from, recognised by its content, and by a look at names and times where that is enough."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqgen.config import ImageConfig
from seqgen.data.images import image_sources
from seqgen.data.sources import Source, as_json, from_json, require_unchanged
from seqgen.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    (tmp_path / "texts" / "a.txt").write_text("one")
    (tmp_path / "texts" / "deep" / "b.txt").write_text("two")
    (tmp_path / "texts" / ".hidden").write_text("not data")
    return tmp_path / "texts"


def test_a_file_is_known_by_its_content(folder: Path) -> None:
    source = Source.of(str(folder / "a.txt"))
    assert (source.files, source.bytes) == (1, 3)
    assert source.sha256 == hashlib.sha256(b"\0" + hashlib.sha256(b"one").digest()).hexdigest()
    assert from_json({"sources": as_json([source])}) == [source]
    assert not source.changed


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "edited": (lambda path: (path / "a.txt").write_text("ONE"), True),
    "longer": (lambda path: (path / "a.txt").write_text("one more"), True),
    "added": (lambda path: (path / "deep" / "c.txt").write_text(""), True),
    "removed": (lambda path: (path / "deep" / "b.txt").unlink(), True),
    "renamed": (lambda path: (path / "a.txt").rename(path / "z.txt"), True),
    "moved": (lambda path: (path / "a.txt").rename(path / "deep" / "a.txt"), True),
    "touched": (lambda path: os.utime(path / "a.txt", (1, 1)), False),
    "hidden": (lambda path: (path / ".hidden").write_text("other"), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_is_known_by_its_names_and_contents(change: str, folder: Path) -> None:
    source = Source.of(str(folder))
    assert (source.files, source.bytes) == (2, 6)
    act, matters = CHANGES[change]
    act(folder)
    assert source.changed == matters
    if matters:
        with pytest.raises(DataError, match="texts is not what it was made from"):
            require_unchanged([source], Path("run/data"))
    else:
        require_unchanged([source], Path("run/data"))


def test_nothing_is_read_while_names_sizes_and_times_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source.of(str(folder))
    monkeypatch.setattr(Source, "of", lambda path: pytest.fail("read"))
    assert not source.changed


def test_links_in_circles_are_followed_once(folder: Path) -> None:
    (folder / "deep" / "up").symlink_to(folder)
    assert Source.of(str(folder)).files == 2


def test_what_can_be_read_only_once_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, name in (("-", "standard input"), (str(tmp_path / "pipe"), str(tmp_path / "pipe"))):
        with pytest.raises(DataError, match=f"is gone .*{name} can be read only once"):
            require_unchanged([Source.of(path)], Path("run/data"))


def test_a_source_that_is_gone_and_a_run_that_knows_none(folder: Path) -> None:
    source = Source.of(str(folder / "a.txt"))
    (folder / "a.txt").unlink()
    with pytest.raises(DataError, match=r"and so is .*a\.txt") as caught:
        require_unchanged([source], Path("run/data"))
    assert "put it back" in caught.value.hint
    with pytest.raises(DataError, match="does not say"):
        require_unchanged(from_json({"sources": [{"path": "x"}]}), Path("run/data"))
    assert from_json({}) == []


def test_the_labels_beside_an_idx_file_are_a_source_too(tmp_path: Path) -> None:
    images, labels = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"
    images.write_bytes(b"")
    assert image_sources(ImageConfig(paths=(str(images),))) == [str(images)]
    labels.write_bytes(b"")
    assert image_sources(ImageConfig(paths=(str(images),))) == [str(images), str(labels)]
    assert image_sources(ImageConfig(paths=(str(images),), labels="other")) == [str(images), "other"]


def test_sizes_and_times_are_a_hash_of_their_own(folder: Path) -> None:
    before = Source.of(str(folder))
    os.utime(folder / "a.txt", (1, 1))
    after = Source.of(str(folder))
    assert before.listing != after.listing
    assert before.sha256 == after.sha256
