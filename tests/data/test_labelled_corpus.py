"""Labelled texts on disk: what is passed over, how they are parted, and what of it depends on what."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqgen.config import LabelledTextConfig
from seqgen.data.label_inputs import InputReader
from seqgen.data.labelled_corpus import INDEX, LabelledCorpus, build_labelled
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.errors import DataError

ROWS = [f"{word}{i}\t{label}" for label, words in (("a", "xy"), ("b", "zw")) for word in words for i in range(20)]


def build(folder: Path, rows: list[str], warned: list[str] | None = None, **choices: Any) -> LabelledCorpus:
    folder.mkdir(exist_ok=True)
    (folder / "rows.tsv").write_text("".join(f"{row}\n" for row in rows))
    config = LabelledTextConfig(paths=(str(folder / "rows.tsv"),), **choices)
    return build_labelled(config, letters=True, directory=folder / "data", warn=(warned or []).append)


def texts(corpus: LabelledCorpus, part: str = "train") -> list[tuple[str, list[int]]]:
    found = corpus.train if part == "train" else corpus.valid
    assert found is not None
    read, labels = found.read(np.arange(len(found)))
    return [(text, own.tolist()) for text, own in zip(read, labels, strict=True)]


def test_a_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    corpus = build(tmp_path, ROWS, valid="0.25")
    assert corpus.classes == ("a", "b")
    assert sorted(labels for _, labels in texts(corpus, "valid")) == [[0]] * 10 + [[1]] * 10
    assert corpus.class_counts.tolist() == [30, 30]
    assert sorted(texts(corpus) + texts(corpus, "valid")) == sorted(
        (row.split("\t")[0], [int(row.endswith("b"))]) for row in ROWS
    )


def test_the_order_of_the_rows_changes_nothing(tmp_path: Path) -> None:
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    parts = [sorted(texts(build(tmp_path / str(i), rows), "valid")) for i, rows in enumerate((ROWS, shuffled))]
    assert parts[0] == parts[1]


def test_repeats_are_left_out_and_contradictions_told(tmp_path: Path) -> None:
    warned: list[str] = []
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "rows.tsv").write_text("".join(f"{row}\n" for row in [*ROWS, ROWS[0], ROWS[0], "x1\tb", "\ta", "q\t"]))
    config = LabelledTextConfig(paths=(str(folder / "rows.tsv"),), valid="0")
    corpus = build_labelled(config, letters=False, directory=folder / "data", warn=warned.append)
    assert len(corpus.train) == len(ROWS) + 1
    assert corpus.valid is None
    assert [message.split(",")[0].split(" over")[0] for message in warned] == [
        "1 row without a text passed",
        "1 row without a label passed",
        "2 exact repeats left out",
        "1 text stand again with another label: no model can tell these apart",
    ]


def test_copies_of_a_text_are_never_on_both_sides(tmp_path: Path) -> None:
    rows = [f"same{i}\t{label}" for i in range(30) for label in "ab"]
    corpus = build(tmp_path, rows, valid="0.3")
    sides = [{text for text, _ in texts(corpus, part)} for part in ("train", "valid")]
    assert not sides[0] & sides[1]
    assert all(sides)


def test_what_a_token_is_depends_on_the_texts(tmp_path: Path) -> None:
    assert isinstance(build(tmp_path / "names", ROWS).reader.tokenizer, CharTokenizer)
    sentences = [row.replace("\t", " is a good film\t") for row in ROWS]
    corpus = build(tmp_path / "sentences", sentences)
    assert isinstance(corpus.reader.tokenizer, WordTokenizer)
    assert corpus.reader.characters is not None
    assert corpus.counts[corpus.reader.tokenizer.encode_words(["film"])].tolist() == [len(corpus.train)]


def test_data_that_lost_a_byte_are_refused(tmp_path: Path) -> None:
    build(tmp_path, ROWS)
    path = tmp_path / "data" / "train.texts.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="does not hold the whole labelled texts"):
        build(tmp_path, ROWS)
    (tmp_path / "data" / INDEX).unlink()
    assert len(build(tmp_path, ROWS).train)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["x\ta", "y\ta"], "one class only, 'a'"),
        ([f"{i}\tlabel {i}" for i in range(30)], "30 different labels for 30 texts"),
        (["", ""], "no labelled text"),
        (["x\ta", "y\tb\x1b[31m"], "has a control character"),
    ],
)
def test_nothing_to_tell_apart_is_refused(rows: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        build(tmp_path, rows)


def test_labels_to_validate_on_that_are_new_are_numbered_past_the_last(tmp_path: Path) -> None:
    (tmp_path / "valid.tsv").write_text("q\ta\nr\tnew\nx1\ta\n")
    warned: list[str] = []
    (tmp_path / "rows.tsv").write_text("".join(f"{row}\n" for row in ROWS))
    config = LabelledTextConfig(paths=(str(tmp_path / "rows.tsv"),), valid=str(tmp_path / "valid.tsv"))
    corpus = build_labelled(config, letters=False, directory=tmp_path / "data", warn=warned.append)
    assert texts(corpus, "valid") == [("q", [0]), ("r", [2]), ("x1", [0])]
    assert len(warned) == 2
    assert "stand among those to train on" in warned[0]
    assert "'new'; they count as wrong" in warned[1]


# Reading ------------------------------------------------------------------------------------------------------


def test_long_texts_are_cut_or_read_in_pieces() -> None:
    cut = InputReader(CharTokenizer("abc"), None, False, 2, False).read(["abcab", "a"])
    assert (cut.tokens.tolist(), cut.lengths.tolist(), cut.cut) == ([[1, 2], [1, 0]], [2, 1], frozenset({0}))
    pieces = InputReader(CharTokenizer("abc"), None, False, 2, True).read(["abcab", "a"])
    assert pieces.tokens.tolist() == [[1, 2], [3, 1], [2, 0], [1, 0]]
    assert (pieces.owners.tolist(), pieces.lengths.tolist(), pieces.cut) == ([0, 0, 0, 1], [2, 2, 1, 1], frozenset())


def test_each_word_has_a_token_and_its_letters_are_spelled_once() -> None:
    reader = InputReader(WordTokenizer(["a", "dog"]), CharTokenizer("adgo"), True, 9, True)
    inputs = reader.read(["a dog", "dog Dog a"])
    assert inputs.tokens.tolist() == [[2, 3, 0], [3, 0, 2]]
    assert inputs.letters is not None
    assert inputs.letters.characters.tolist() == [[1, 0, 0], [2, 4, 3], [0, 4, 3]]
    assert inputs.letters.places.tolist() == [[0, 1, 0], [1, 2, 0]]


def test_signs_are_words_and_apostrophes_are_not() -> None:
    reader = InputReader(WordTokenizer([]), None, False, 99, False)
    assert reader.split("It's well-made, e.g. this: 3.5!") == "It's well-made , e.g . this : 3.5 !".split()
