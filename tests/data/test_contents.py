"""What a path holds, told by its content."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pair_texts import write
from PIL import Image

from seqgen.data.contents import Content, are_aligned, check_running_text, content_of, refuse_text
from seqgen.data.sides import Keys
from seqgen.errors import DataError


def picture(form: str) -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, form)
    return content.getvalue()


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_images_are_known_by_what_they_begin_with(tmp_path: Path, form: str) -> None:
    for name in ("photo", "photo.txt", f"photo.{form.lower()}"):
        assert content_of(write(tmp_path / name, picture(form))) == "images"


def test_holders_of_images_are_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.png", picture("PNG"))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "a.zip", "a.zip")
    write(tmp_path / "a.tar.gz", gzip.compress((tmp_path / "a.tar").read_bytes()))
    idx = b"\0\0\x08\x03" + bytes([0, 0, 0, 1] * 3) + b"\0"
    write(tmp_path / "a.idx", idx)
    write(tmp_path / "a.idx.gz", gzip.compress(idx))
    for name in ("a.npz", "a.zip", "a.tar", "a.tar.gz", "a.idx", "a.idx.gz"):
        Path(tmp_path / name).rename(tmp_path / "file")
        assert content_of(str(tmp_path / "file")) == "images", name
    write(tmp_path / "folder/a.txt", picture("PNG"))
    write(tmp_path / "folder/.hidden", "text")
    assert content_of(str(tmp_path / "folder")) == "images"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("To be, or not to be.\nThat is it; go.\n", "text"),
        ("BM is no bitmap, and P5 no picture.\n", "text"),
        ("\tdef f():\n\t\treturn 1\n", "text"),
        ("a\tb\nprose\nprose\n", "text"),
        ("", "text"),
        ("\n\n", "text"),
        ("a\tb\n\nc\td\n", "table"),
        ("\ufeffsource,target\na,b\n", "table"),
        ('{"text": "a"}\n', "table"),
    ],
)
def test_text_and_tables_are_told_apart_by_content(tmp_path: Path, content: str, wanted: Content) -> None:
    for name in ("file", "file.txt", "file.de"):
        assert content_of(write(tmp_path / name, content)) == wanted


def test_a_name_decides_what_the_content_leaves_open(tmp_path: Path) -> None:
    for name in ("file.csv", "file.TSV", "file.jsonl"):
        assert content_of(write(tmp_path / name, "nothing\n")) == "table"
    assert content_of(write(tmp_path / "file.txt", "a,b\n"), Keys("a", "b")) == "table"


def test_text_in_other_encodings_and_compressed_text_are_no_images(tmp_path: Path) -> None:
    assert content_of(write(tmp_path / "latin", b"caf\xe9\n")) == "text"
    for time in (0, 9):  # in the header of the file; a byte of 9 is a tab
        assert content_of(write(tmp_path / "text.gz", gzip.compress(b"text\n", mtime=time))) == "text"
    assert content_of(str(tmp_path / "nowhere")) is None


# What is refused ----------------------------------------------------------------------------------------------


def test_images_are_no_text_and_text_is_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a looks like images, not text") as caught:
        check_running_text([write(tmp_path / "a", picture("PNG"))], no_warning)
    assert "gan-train" in caught.value.hint
    for content, said in [("text\n", "looks like text, not images"), ("a\tb\n", "looks like a table, not images")]:
        with pytest.raises(DataError, match=said):
            refuse_text(write(tmp_path / "b", content))
    refuse_text(write(tmp_path / "c", b"\x01\x02\xff"))  # what it is will be said by whoever reads it


def test_a_table_is_running_text_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    check_running_text([write(tmp_path / "a", "a\tb\nc\td\n")], warnings.append)
    assert len(warnings) == 1
    assert "looks like a table" in warnings[0]


def sentences(seed: int, like: list[str] | None = None) -> list[str]:
    """Lines of random lengths, or such as translate others: about as long."""
    draw = random.Random(seed)
    sizes = [draw.randint(3, 20) for _ in range(40)] if like is None else [len(line) // 2 for line in like]
    return ["x " * max(1, size + draw.randint(-1, 1)) for size in sizes]


def test_two_files_are_pairs_when_their_lines_are_alike_in_length(tmp_path: Path) -> None:
    one = sentences(0)
    two, other = sentences(1, one), sentences(2)
    paths = [write(tmp_path / name, "\n".join(lines)) for name, lines in [("a", one), ("b", two), ("c", other)]]
    shorter = write(tmp_path / "d", "\n".join(two[:-1]))
    assert are_aligned(paths[0], paths[1])
    for not_its_translation in (paths[2], shorter, paths[0], str(tmp_path)):
        assert not are_aligned(paths[0], not_its_translation)
    with pytest.raises(DataError, match="look like sentence pairs") as caught:
        check_running_text(paths[:2], no_warning)
    assert "cat" in caught.value.hint
    check_running_text([paths[0], paths[2]], no_warning)


def test_of_few_lines_the_names_tell(tmp_path: Path) -> None:
    names = ["t.de", "t.en", "part1.txt", "part2.txt"]
    paths = [write(tmp_path / name, "Hallo.\nJa.\n") for name in names]
    assert are_aligned(paths[0], paths[1])
    assert not are_aligned(paths[2], paths[3])
