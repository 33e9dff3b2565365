from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqgen.config import TextConfig
from seqgen.data import text
from seqgen.data.corpus import build_corpus
from seqgen.data.text import join_files, parts, read_lines, read_text, text_files
from seqgen.errors import DataError

BOM = b"\xef\xbb\xbf"


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


class Counted(str):
    """Counts how often names are compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_folder_is_read_in_time_that_grows_with_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(60):
        write(tmp_path / f"{i:02}.txt", b"text")
    last = write(tmp_path / "picture", b"\xff\xd8")
    monkeypatch.setattr(text, "str", Counted, raising=False)
    told: list[str] = []
    assert len(text_files([str(tmp_path)], told.append)) == 60
    assert told == [f"{tmp_path}: 1 file passed over, not being text: {last} first"]
    assert Counted.comparisons <= 3 * 61


# Reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 3, 5, 2**20])
def test_characters_that_cross_block_borders_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    content = "aé€🙂\r\nb\n"
    assert "".join(read_text(write(tmp_path / "a.txt", content.encode()))) == content


@pytest.mark.parametrize("block", [1, 2, 2**20])
def test_a_byte_order_mark_is_dropped_at_the_start_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    path = write(tmp_path / "a.txt", BOM + b"a" + BOM + b"b")
    assert "".join(read_text(path)) == "a\ufeffb"


@pytest.mark.parametrize("block", [1, 4, 2**20])
def test_what_is_not_utf8_is_named_by_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    path = write(tmp_path / "latin.txt", "é one\ntwo\n".encode() + b"caf\xe9 three\nfour\n")
    with pytest.raises(DataError, match=r"latin\.txt, line 3: not UTF-8 \(byte 0xe9\)") as caught:
        list(read_text(path))
    assert "iconv" in caught.value.hint


@pytest.mark.parametrize("fault", [b"\xff", b"\0"])
def test_what_stands_before_a_fault_is_given_first(tmp_path: Path, fault: bytes) -> None:
    lines = read_lines(read_text(write(tmp_path / "a.txt", b"one\ntwo\nth" + fault + b"ree\n")))
    assert [next(lines), next(lines)] == ["one\n", "two\n"]
    with pytest.raises(DataError, match="line 3"):
        next(lines)


def test_a_line_is_given_before_the_next_one_is_waited_for(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    with open(theirs, "wb", buffering=0) as writer:
        lines = read_lines(read_text(f"/dev/fd/{ours}"))
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert next(lines) == line.decode()
    os.close(ours)


def test_a_text_that_ends_inside_a_character_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        list(read_text(write(tmp_path / "cut.txt", b"a\n" + "€".encode()[:2])))


@pytest.mark.parametrize("block", [1, 3, 2**20])
def test_a_nul_character_is_named_by_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    with pytest.raises(DataError, match=r"nul\.txt, line 3: a NUL character"):
        list(read_text(write(tmp_path / "nul.txt", b"one\ntwo\nth\0ree\n")))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_do_not_depend_on_blocks(size: int) -> None:
    content = "one\n\ntwo\nthree"
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    assert list(read_lines(blocks)) == ["one\n", "\n", "two\n", "three"]


def test_lines_end_at_line_feeds_only() -> None:
    assert list(read_lines(["a\rb\u2028c\n"])) == ["a\rb\u2028c\n"]


# Files and folders --------------------------------------------------------------------------------------------


def test_a_folder_is_searched_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", ".hidden", ".git/config", "a/.x"):
        write(tmp_path / name, b"text\n")
    assert text_files([str(tmp_path)], no_warning) == [str(tmp_path / "a/z.txt"), str(tmp_path / "b.txt")]


def test_a_folder_below_a_hidden_folder_may_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / ".cache/a.txt", b"text\n")
    assert text_files([str(tmp_path / ".cache")], no_warning) == [path]


def test_files_that_are_not_text_are_passed_over_with_a_warning(tmp_path: Path) -> None:
    good = write(tmp_path / "a.txt", b"text\n")
    write(tmp_path / "b.png", b"\x89PNG\x00")
    write(tmp_path / "c.bin", b"nul\0")
    warnings: list[str] = []
    assert text_files([str(tmp_path)], warnings.append) == [good]
    assert len(warnings) == 1
    assert "2 files" in warnings[0]
    assert "b.png" in warnings[0]


def test_a_folder_without_text_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "b.png", b"\x89PNG\x00")
    with pytest.raises(DataError, match="no UTF-8 text"):
        text_files([str(tmp_path)], no_warning)


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        text_files([str(tmp_path / "nowhere.txt")], no_warning)


def test_a_named_file_that_is_not_text_is_an_error_not_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "b.png", b"\x89PNG")
    with pytest.raises(DataError, match=r"b\.png, line 1"):
        build_corpus(TextConfig(paths=(path,)), tmp_path / "data", no_warning)


# Parts and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("most", [1, 4, 7, 1000])
def test_parts_are_the_text_and_cut_no_word_that_fits(size: int, most: int) -> None:
    content = "one two\n\nthree\u3000four  incomprehensible a b"
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    made = list(parts(blocks, most))
    assert "".join(made) == content
    assert max(map(len, made)) <= most
    if most == 7:
        assert [word for part in made for word in part.split()] == "one two three four incomp rehensi ble a b".split()


def test_nothing_has_no_parts() -> None:
    assert list(parts([], 5)) == list(parts(["", ""], 5)) == []
    assert list(join_files([])) == list(join_files([[""], []])) == []


def test_files_are_joined_by_a_line_feed_where_there_is_none() -> None:
    files = [["a", "b"], ["c\n"], [], ["", "d"], ["\n"], ["e"]]
    assert "".join(join_files(files)) == "ab\nc\nd\n\ne"
