"""Sentence pairs from two files, tabs or JSON, and the line that is to blame."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pair_texts import two_files, write

from seqgen.data import text
from seqgen.data.pair_files import read_pairs
from seqgen.errors import DataError

BOM = b"\xef\xbb\xbf"

# The same examples in every run: a test that fails today fails tomorrow.
steady = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def test_two_files_tabs_and_json_hold_the_same_pairs(tmp_path: Path) -> None:
    pairs = [("Grüße 🙂", "greetings"), ("a  b", " c "), ("x\u2028y\x85\x0bz", "w\u00a0v"), ("", ""), ("last", "one")]
    tabs = write(tmp_path / "pairs.tsv", "".join(f"{source}\t{target}\n" for source, target in pairs))
    objects = [json.dumps({"source": source, "target": target, "id": 3}) + "\n" for source, target in pairs]
    assert list(read_pairs(two_files(tmp_path, pairs))) == pairs
    assert list(read_pairs((tabs,))) == pairs
    for ending in ("jsonl", "json", "ndjson", "JSONL"):
        assert list(read_pairs((write(tmp_path / f"pairs.{ending}", "".join(objects)),))) == pairs


@pytest.mark.parametrize(
    "content", ["a\tb\n\nc\td\n", "a\tb\r\n\r\nc\td\r\n", "a\tb\n  \nc\td", "\ufeffa\tb\n\t\nc\td"]
)
def test_line_ends_blank_lines_and_byte_order_marks_are_no_text(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "pairs.tsv", content)
    assert list(read_pairs((path,))) == [("a", "b"), ("", ""), ("c", "d")]


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    paths = (write(tmp_path / "a", "one\rtwo\u2028three\r\r\n"), write(tmp_path / "b", "ein\x1cs"))
    assert list(read_pairs(paths)) == [("one\rtwo\u2028three\r", "ein\x1cs")]


def test_a_line_feed_in_json_is_a_space(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"source": "one\\ntwo\\r\\nthree", "target": "x\\ty"}\n')
    assert list(read_pairs((path,))) == [("one two three", "x\ty")]


@pytest.mark.parametrize(("lines", "counts"), [((3, 5), "3 lines, .*en has 5"), ((5, 0), "5 lines, .*en has 0")])
def test_files_of_unlike_length_are_an_error_with_both_counts(
    tmp_path: Path, lines: tuple[int, int], counts: str
) -> None:
    paths = tuple(write(tmp_path / f"de.{name}", "x\n" * n) for name, n in zip(("de", "en"), lines, strict=True))
    with pytest.raises(DataError, match=rf"de\.de has {counts}") as caught:
        list(read_pairs(paths))
    assert "translation" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no tab", "0 tabs"),
        ("one\ttwo\tthree", "2 tabs"),
        ("nul\0\tx", "a NUL character"),
        (b"latin \xe9\tx", "not UTF-8"),
    ],
)
def test_a_faulty_line_of_tabs_is_named(tmp_path: Path, line: str | bytes, message: str) -> None:
    fault = line.encode() if isinstance(line, str) else line
    path = write(tmp_path / "pairs.tsv", b"a\tb\n\n" + fault + b"\nc\td\n")
    with pytest.raises(DataError, match=rf"pairs\.tsv, line 3: {message}"):
        list(read_pairs((path,)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("source\ttarget", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ('{"source": "a", "target": "b"', "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"target": "b"}', "source is missing"),
        ('{"source": "a", "target": null}', "target is not a string"),
        ('{"source": "a", "target": ["b"]}', "target is not a string"),
        ('{"source": "a\\u0000", "target": "b"}', "source holds a NUL"),
        ('{"source": "a", "target": "\\ud83d"}', "target holds a NUL character or half a surrogate"),
    ],
)
def test_a_faulty_line_of_json_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "pairs.jsonl", '{"source": "a", "target": "b"}\n\n' + line + "\n")
    with pytest.raises(DataError, match=rf"pairs\.jsonl, line 3: {message}"):
        list(read_pairs((path,)))


def test_the_content_decides_what_a_table_is_and_not_its_name(tmp_path: Path) -> None:
    for name, content in [
        ("tabs.jsonl", "a\tb\n"),
        ("objects.tsv", '{"source": "a", "target": "b"}\n'),
        ("header.txt", "target,source\nb,a\n"),
        ("tabs.csv", "a\tb\n"),
        ("nothing.csv", "a,b\n"),
        ("Big.CSV", "a,b\r\n"),
    ]:
        assert list(read_pairs((write(tmp_path / name, content),))) == [("a", "b")], name


@pytest.mark.parametrize("side", ["de", "en"])
@pytest.mark.parametrize(("fault", "message"), [(b"\0", "a NUL character"), (b"\xff", "not UTF-8")])
def test_a_faulty_line_of_one_of_two_files_is_named(tmp_path: Path, side: str, fault: bytes, message: str) -> None:
    paths = two_files(tmp_path, [("a", "b")] * 3)
    (tmp_path / f"train.{side}").write_bytes(b"a\n" + fault + b"\nc\n")
    with pytest.raises(DataError, match=rf"train\.{side}, line 2: {message}"):
        list(read_pairs(paths))


def test_pairs_come_through_pipes(tmp_path: Path) -> None:
    def pipe(content: bytes) -> str:
        ours, theirs = os.pipe()
        os.write(theirs, content)
        os.close(theirs)
        return f"/dev/fd/{ours}"

    wanted = [("Ein Hund.", "A dog."), ("", ""), ("c", "d")]
    assert list(read_pairs((pipe(b"\xef\xbb\xbfEin Hund.\tA dog.\r\n\r\nc\td\n"),))) == wanted
    assert list(read_pairs((pipe(b"Ein Hund.\n\nc\n"), pipe(b"A dog.\n\nd\n")))) == wanted
    objects = b'{"source": "Ein Hund.", "target": "A dog."}\n\n{"source": "c", "target": "d"}\n'
    assert list(read_pairs((pipe(objects),))) == wanted


def test_what_cannot_be_read_at_all_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "a.tsv", "a\tb\n")
    for paths, message in [
        (("-", "-"), "standard input can be one side only"),
        ((str(tmp_path),), "a folder, not a file"),
        ((good, str(tmp_path / "nowhere.en")), r"nowhere\.en: no such file"),
        ((), "not 0"),
        ((good,) * 3, "not 3"),
    ]:
        with pytest.raises(DataError, match=message):
            list(read_pairs(paths))


plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\ufeff"), max_size=20)


@steady
@given(st.lists(st.tuples(plain, plain), max_size=6), st.integers(1, 9))
@example([("a\r", "\r")], 2)
def test_any_pairs_come_back_from_json_and_from_two_files(pairs: list[tuple[str, str]], block: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        folder = Path(name)
        objects = "".join(json.dumps({"source": source, "target": target}) + "\n" for source, target in pairs)
        assert list(read_pairs((write(folder / "a.jsonl", objects),))) == pairs
        # A carriage return at the end of a line belongs to the line end.
        stripped = [(source.removesuffix("\r"), target.removesuffix("\r")) for source, target in pairs]
        assert list(read_pairs(two_files(folder, pairs))) == stripped
