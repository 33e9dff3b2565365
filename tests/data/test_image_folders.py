from __future__ import annotations

import os
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_holders import PNG, tarred, zipped

from seqgen.data import image_folders
from seqgen.data.image_files import Faults, ImageFiles
from seqgen.data.image_folders import in_folder, in_tar, in_zip, is_tar
from seqgen.errors import DataError


def labels_of(source: ImageFiles, faults: Faults | None = None) -> list[str | None]:
    return [found.label for found in source.read((2, 3), faults or Faults())]


# Folders ------------------------------------------------------------------------------------------------------


def test_folders_and_files_come_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a/z/1", "c", "a/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    found = [file for file in in_folder(str(tmp_path)) if file.open]
    assert [file.name for file in found] == [str(tmp_path / name) for name in ("c", "a/1", "a/z/1", "b/10", "b/2")]
    assert [file.folders for file in found] == [(), ("a",), ("a", "z"), ("b",), ("b",)]


def test_linked_folders_are_searched_and_circles_are_not_walked(tmp_path: Path) -> None:
    for name in ("elsewhere/1.png", "in/cat/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "in" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "cat" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "in" / "cat")
    assert labels_of(ImageFiles("x", partial(in_folder, str(tmp_path / "in")))) == ["cat", "dog"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "ok.png").write_bytes(PNG)
    faults = Faults()
    assert labels_of(ImageFiles("x", partial(in_folder, str(tmp_path))), faults) == [None]
    assert f"{tmp_path}/gone.png (No such file or directory)" in faults.first
    assert f"{tmp_path}/pipe.png (not a regular file)" in faults.first


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match="closed cannot be read: Permission denied"):
        ImageFiles("x", partial(in_folder, str(tmp_path)))
    (tmp_path / "closed").chmod(stat.S_IRWXU)


# Archives that cannot be trusted ------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png"])
def test_a_name_that_leads_out_of_the_archive_is_not_followed(tmp_path: Path, holder: Any, name: str) -> None:
    source, faults = ImageFiles("x", holder(tmp_path / "x", {"a/1.png": PNG, name: PNG, "b/2.png": PNG})), Faults()
    assert labels_of(source, faults) == ["a", "b"]
    assert "leads out of the archive" in str(faults)
    assert list(tmp_path.rglob("*.png")) == []


@pytest.mark.parametrize("holder", [zipped, tarred])
def test_a_member_that_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path, holder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folders, "MAX_MEMBER_BYTES", 10_000)
    source, faults = ImageFiles("x", holder(tmp_path / "x", {"a.png": PNG, "b.png": bytes(10_001)})), Faults()
    assert labels_of(source, faults) == [None]
    assert "b.png (10,001 bytes unpacked, more than 10,000)" in str(faults)


@pytest.mark.parametrize("system", [0, 3])
def test_folders_of_a_zip_that_was_made_on_windows_are_folders(tmp_path: Path, system: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("set\\", "set\\cat\\", "set\\cat\\1.png", "set\\dog\\deep\\2.png", "set\\.hidden\\3.png"):
            member = zipfile.ZipInfo(name)
            member.create_system = system
            archive.writestr(member, b"" if name.endswith("\\") else PNG)
        archive.writestr("..\\..\\evil.png", PNG)
    source, faults = ImageFiles("x", partial(in_zip, str(tmp_path / "x.zip"))), Faults()
    assert labels_of(source, faults) == ["cat", "dog"]
    assert faults.first == [f"{tmp_path}/x.zip: ../../evil.png (its name leads out of the archive)"]


def with_flags(path: Path, change: Callable[[int], int]) -> None:
    """Change what a zip says of each member, in its own header and in the directory."""
    content = bytearray(path.read_bytes())
    for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(head), bytes(content)):
            (flags,) = struct.unpack_from("<H", content, found.start() + place)
            struct.pack_into("<H", content, found.start() + place, change(flags))
    path.write_bytes(content)


def test_names_in_a_zip_are_utf8_where_they_can_be(tmp_path: Path) -> None:
    zipped(tmp_path / "x", dict.fromkeys(["Äpfel/1.png", "Zuge/2.png"], PNG))
    path = tmp_path / "x.zip"
    with_flags(path, lambda flags: flags & ~0x800)  # it no longer says that its names are UTF-8
    path.write_bytes(path.read_bytes().replace(b"Zuge", b"Z\x81ge"))  # no UTF-8: code page 437
    assert labels_of(ImageFiles("x", partial(in_zip, str(path)))) == ["Äpfel", "Züge"]


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "x", {"a/1.png": PNG, "b/2.png": PNG})
    with_flags(tmp_path / "x.zip", lambda flags: flags | 1)
    source, faults = ImageFiles("x", partial(in_zip, str(tmp_path / "x.zip"))), Faults()
    assert labels_of(source, faults) == []
    assert faults.count == 2
    assert "encrypted" in faults.first[0]


def test_a_tar_may_begin_its_names_with_a_dot(tmp_path: Path) -> None:
    files = {"./set/cat/1.png": PNG, "./set/dog/2.png": PNG, "./set/._dog": b"?", "./set/dog/._2.png": b"?"}
    source, faults = ImageFiles("x", tarred(tmp_path / "x", files)), Faults()
    assert labels_of(source, faults) == ["cat", "dog"]
    assert not faults.count


@pytest.mark.parametrize("holder", [zipped, tarred])
def test_a_name_that_no_folder_could_have_is_no_class(tmp_path: Path, holder: Any) -> None:
    files = dict.fromkeys([f"{'a' * 300}/1.png", "b/2.png", "c/3.png"], PNG)
    source, faults = ImageFiles("x", holder(tmp_path / "x", files)), Faults()
    assert labels_of(source, faults) == ["b", "c"]
    assert "longer than any folder's" in str(faults)


# Folders without images -------------------------------------------------------------------------------------------


def holding(kind: str, root: Path, *names: str) -> ImageFiles:
    """Files and, where a name ends in a slash, empty folders."""
    path = root / f"x.{kind}"
    if kind == "folder":
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).mkdir() if name.endswith("/") else (path / name).write_bytes(PNG if "png" in name else b"?")
        return ImageFiles(str(path), partial(in_folder, str(path)))
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, PNG if "png" in name else b"")
        return ImageFiles(str(path), partial(in_zip, str(path)))
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(PNG) if "png" in name else 0
            tar.addfile(member, BytesIO(PNG) if "png" in name else None)
    return ImageFiles(str(path), partial(in_tar, str(path)))


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize(
    ("names", "empty"),
    [
        (["a/1.png", "b/"], ("b",)),
        (["set/a/1.png", "set/a/2.png", "set/b/"], ("set/b",)),
        (["a/1.png", "b/2.png", "c/", "d/deep/deeper/"], ("c", "d")),
        (["a/1.png", "b/notes.txt"], ("b",)),
        (["a/1.png", "b/deep/2.png"], ()),
        (["1.png", "2.png"], ()),
        (["a/1.png", ".b/"], ()),
    ],
)
def test_folders_without_images_are_told_of(
    tmp_path: Path, kind: str, names: list[str], empty: tuple[str, ...]
) -> None:
    assert holding(kind, tmp_path, *names).empty == empty


def test_a_member_that_lies_about_its_size_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "x", {"a.png": PNG, "b.png": bytes(90_000)})
    path = tmp_path / "x.zip"
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 90_000), struct.pack("<I", 5)))
    faults = Faults()
    assert labels_of(ImageFiles("x", partial(in_zip, str(path))), faults) == [None]
    assert faults.count == 1


def test_links_in_a_tar_are_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind, target in (
            ("soft", tarfile.SYMTYPE, str(tmp_path / "secret.png")),
            ("hard", tarfile.LNKTYPE, "../secret.png"),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, target
            archive.addfile(member)
    faults = Faults()
    assert labels_of(ImageFiles("x", partial(in_tar, str(tmp_path / "x.tar"))), faults) == []
    assert faults.count == 3
    assert all("(" in fault for fault in faults.first)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_may_be_compressed(tmp_path: Path, mode: str) -> None:
    source = ImageFiles("x", tarred(tmp_path / "x", {"a/1.png": PNG, "b/2.png": PNG}, mode))
    assert is_tar(str(tmp_path / "x.tar"))
    assert labels_of(source) == ["a", "b"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_that_was_cut_is_an_error(tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 4000), dtype=np.uint8)
    tarred(tmp_path / "x", {f"{i}.png": noise[i].tobytes() for i in range(30)}, mode)
    path = tmp_path / "x.tar"
    path.write_bytes(path.read_bytes()[:59_000])
    with pytest.raises(DataError, match=r"x\.tar cannot be read: "):
        ImageFiles("x", partial(in_tar, str(path)))


@pytest.mark.parametrize("content", [b"PK", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_zip_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip cannot be read: File is not a zip file"):
        ImageFiles("x", partial(in_zip, str(tmp_path / "x.zip")))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "x", {"a.png": PNG, "b.png": np.random.default_rng(0).bytes(500)})
    path = tmp_path / "x.zip"
    content = bytearray(path.read_bytes())
    content[content.index(b"b.png") + 60] ^= 255
    path.write_bytes(content)
    faults = Faults()
    assert labels_of(ImageFiles("x", partial(in_zip, str(path))), faults) == [None]
    assert "b.png (Bad CRC-32" in str(faults)
