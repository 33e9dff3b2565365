"""Labelled texts in all the forms in which people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqgen.data.labelled import read_labelled
from seqgen.data.tagged import read_tagged
from seqgen.errors import DataError


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def rows(*paths: str, text: str = "", label: str = "") -> list[tuple[str, str]]:
    return [(example.text, example.labels[0]) for example in read_labelled(paths, text, label)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "good film\tpos\nbad, film\tneg\n"),
        ("t.tsv", "sentence\tlabel\ngood film\tpos\nbad, film\tneg\n"),
        ("t.csv", 'label,text\npos,good film\nneg,"bad, film"\n'),
        ("t.csv", "text;label\ngood film;pos\nbad, film;neg\n"),
        ("t.jsonl", '{"text": "good film", "label": "pos"}\n{"label": "neg", "text": "bad, film"}\n'),
        ("t.tsv", "good film\tpos\r\nbad, film\tneg\r\n"),
    ],
)
def test_a_table_whatever_its_form(name: str, content: str, tmp_path: Path) -> None:
    assert rows(write(tmp_path / name, content)) == [("good film", "pos"), ("bad, film", "neg")]


def test_columns_by_name_and_by_number(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,stars,what\n1,5,good\n2,1,bad\n")
    assert rows(path, text="what", label="stars") == [("good", "5"), ("bad", "1")]
    path = write(tmp_path / "u.tsv", "1\t5\tgood\n2\t1\tbad\n")
    assert rows(path, text="3", label="2") == [("good", "5"), ("bad", "1")]


def test_labels_of_json_may_be_numbers_or_truth_values(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": true}\n')
    assert rows(path) == [("a", "1"), ("b", "true")]


def test_a_folder_with_a_file_or_a_folder_for_each_class(tmp_path: Path) -> None:
    write(tmp_path / "files/Greek.txt", "Kostas\n\nNikos\n")
    write(tmp_path / "files/Irish.txt", "Nolan")
    assert rows(str(tmp_path / "files")) == [("Kostas\n", "Greek"), ("Nikos\n", "Greek"), ("Nolan", "Irish")]
    both = [str(tmp_path / "files" / name) for name in ("Irish.txt", "Greek.txt")]
    assert [label for _, label in rows(*both)] == ["Irish", "Greek", "Greek"]
    write(tmp_path / "folders/pos/1.txt", "good\nfilm\n")
    write(tmp_path / "folders/neg/2.txt", "bad\n")
    assert rows(str(tmp_path / "folders")) == [("bad\n", "neg"), ("good\nfilm\n", "pos")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", "a\tb\nc\n", "t.tsv, line 2: 0 tabs, but text and label are parted by exactly one"),
        ("t.tsv", "a\tb\tc\n", "t.tsv, line 1: 2 tabs, but text and label are parted by exactly one ('a', 'b', 'c')"),
        ("t.tsv", "only text\n", "t.tsv, line 1: 0 tabs, but text and label are parted by exactly one"),
        ("t.csv", b"text,label\n\xff,b\n", "t.csv, line 2: not UTF-8 (byte 0xff)"),
        ("t.jsonl", '{"text": "a"}\n', "t.jsonl, line 1: label is missing; the keys are 'text'"),
    ],
)
def test_a_line_that_is_no_row_is_named(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        rows(write(tmp_path / name, content))
    assert caught.value.message.endswith(message)


def test_what_has_no_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one/Greek.txt", "Kostas\n")
    (tmp_path / "none").mkdir()
    write(tmp_path / "tables/train.tsv", "a\tb\n")
    write(tmp_path / "tables/dev.tsv", "a\tb\n")
    for path, words in (
        ("one", "the only file"),
        ("none", "an empty folder"),
        ("tables", "is a table"),
        ("x", "no such"),
    ):
        with pytest.raises(DataError, match=words):
            rows(str(tmp_path / path))


# Tagged words -------------------------------------------------------------------------------------------------


def tagged(content: str, tmp_path: Path, word: str = "", label: str = "") -> list[tuple[str, tuple[str, ...]]]:
    path = write(tmp_path / "t.conll", content)
    return [(example.text, example.labels) for example in read_tagged([path], word, label)]


@pytest.mark.parametrize(
    "content",
    [
        "A\tDET\ndog\tNOUN\n\nRuns\tVERB\n",
        "\n\nA\tDET\r\ndog\tNOUN\r\n\r\n \t\r\nRuns\tVERB\r\n",
        "word\ttag\nA\tDET\ndog\tNOUN\n\nRuns\tVERB",
        "-DOCSTART- X\n\nA DET\ndog NOUN\n\nRuns VERB\n",
        "# comment\n# text = A dog\n1\tA\ta\tDET\t_\t_\t_\t_\t_\t_\n2-3\tdogs\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "2\tdog\tdog\tNOUN\t_\t_\t_\t_\t_\t_\n2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n\n1\tRuns\trun\tVERB\t_\t_\t_\t_\t_\t_\n",
    ],
)
def test_tagged_words_whatever_their_form(content: str, tmp_path: Path) -> None:
    assert tagged(content, tmp_path) == [("A dog", ("DET", "NOUN")), ("Runs", ("VERB",))]


def test_more_columns_are_named_by_number(tmp_path: Path) -> None:
    content = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"
    assert tagged(content, tmp_path, label="4") == [("EU rejects", ("B-ORG", "O"))]
    with pytest.raises(DataError, match="4 columns, not a word and its tag; the columns are 'EU', 'NNP'"):
        tagged(content, tmp_path)


def test_white_space_in_a_word_does_not_make_two_of_it(tmp_path: Path) -> None:
    assert tagged("1 000\tNUM\nx\tX\n", tmp_path) == [("1000 x", ("NUM", "X"))]


def test_a_word_without_a_tag_is_named(tmp_path: Path) -> None:
    for content, words in (
        ("A\tDET\ndog\n", "line 2: 1 column, no column 2"),
        ("A\t\n", "line 1: a word without a tag"),
    ):
        with pytest.raises(DataError, match=words):
            tagged(content, tmp_path)
