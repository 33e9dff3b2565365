"""`train-classifier`, `classify` and `evaluate` of labels from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Call, Ended, seqgen

from seqgen import modeldir

LETTERS = {"vowel": "aeiou", "other": "bcdfgk"}
TAGS = {"run": "VERB", "dog": "NOUN", "the": "DET", "a": "DET"}
SMALL = (
    "--hidden-size 16 --embed-size 8 --char-size 4 --lr 0.02 --warmup 2 --threads 1 --precision fp32 --eval-every 20"
)


def _train(folder: Path, *words: str) -> Path:
    done = seqgen("train-classifier", *words, *SMALL.split(), "--steps", "60", cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return folder / words[-1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of words that begin with a vowel, or do not."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "names").mkdir()
    for label, letters in LETTERS.items():
        words = [f"{first}{x}{y}" for first in letters for x in "lmn" for y in "opq"]
        (folder / "names" / f"{label}.txt").write_text("".join(f"{word}\n" for word in words))
    return _train(folder, "names", "--bidirectional", "--out", "m")


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of tagged words."""
    folder = tmp_path_factory.mktemp("tags")
    sentences = [[a, b, c] for a in ("the", "a") for b in ("dog", "run") for c in TAGS] * 3
    text = "\n".join("".join(f"{word}\t{TAGS[word]}\n" for word in sentence) for sentence in sentences)
    (folder / "train.tsv").write_text(text)
    return _train(folder, "train.tsv", "--per-token", "--out", "m")


def _classify(call: Call, model: Path, *words: str) -> Ended:
    return call("classify", "-m", str(model), "-q", *words)


def test_a_label_for_each_text(names: Path, call: Call) -> None:
    ended = _classify(call, names, "ano", "", "bno", " \t")
    assert (ended.code, ended.text) == (0, "vowel\n\nother\n\n")
    found = [line.split("\t") for line in _classify(call, names, "ano", "bno", "--top", "2").text.splitlines()]
    assert [(row[0], row[2]) for row in found] == [("vowel", "other"), ("other", "vowel")]
    assert all(float(row[1]) + float(row[3]) == pytest.approx(1, abs=2e-4) for row in found)
    assert _classify(call, names, "ano", "--scores").text.split("\t")[0] == "vowel"


def test_json(names: Path, call: Call) -> None:
    first, second = map(json.loads, _classify(call, names, "ano", " ", "--json", "--top", "2").text.splitlines())
    assert list(first) == ["text", "label", "probability", "labels"]
    assert (first["text"], first["label"], len(first["labels"])) == ("ano", "vowel", 2)
    assert second == {"text": " ", "label": None, "probability": None, "labels": []}


def test_lines_through_a_pipe_whatever_their_ends(names: Path) -> None:
    words = ("classify", "-m", str(names), "-q")
    ended = seqgen(*words, cwd=names, stdin="ano\r\n\nbno\n\N{SNOWMAN}\nano".encode())
    assert (ended.code, ended.text.splitlines()[:3], ended.out.count(b"\n")) == (0, ["vowel", "", "other"], 5)
    broken = seqgen(*words, cwd=names, stdin=b"ano\n\xff\n")
    assert (broken.code, broken.text) == (2, "vowel\n")
    assert broken.error == "standard input, line 2: not UTF-8 (byte 0xff)"


def test_words_get_a_column_and_blank_lines_stay(tags: Path) -> None:
    stdin = b"the\tX\ndog\n\n\n# text = a dog\nrun\n"
    ended = seqgen("classify", "-m", str(tags), cwd=tags, stdin=stdin)
    assert ended.text == "the\tX\tDET\ndog\tNOUN\n\n\n# text = a dog\nrun\tVERB\n"
    assert ended.err == ""
    warned = seqgen("classify", "-m", str(tags), cwd=tags, stdin=b"the dog\n")
    assert "--sentences takes it for a sentence" in warned.err
    ended = seqgen("classify", "-m", str(tags), "--sentences", cwd=tags, stdin=b"the dog run\n\na\n")
    assert ended.text == "DET NOUN VERB\n\nDET\n"


def test_words_in_json(tags: Path, call: Call) -> None:
    [answer] = map(json.loads, _classify(call, tags, "the dog", "--json").text.splitlines())
    assert [(word["word"], word["label"]) for word in answer["words"]] == [("the", "DET"), ("dog", "NOUN")]


def test_evaluation_names_every_class(names: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("ano\tvowel\nbno\tother\ncno\tvowel\ndno\tnew\n\tother\n")
    picture = tmp_path / "map.png"
    words = ("evaluate", "-m", str(names), str(tmp_path / "test.tsv"))
    ended = call(*words, "--json", "--confusion", str(picture))
    measures = json.loads(ended.text)
    assert measures["accuracy"] == 0.5
    assert measures["confusion"] == [[1, 0], [1, 1], [1, 0]]
    assert measures["classes"]["vowel"]["recall"] == 0.5
    assert (measures["texts"], measures["labels"]) == (4, 4)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "1 row without a text or a label passed over" in ended.err
    assert "1 label that the model does not know" in ended.err
    shown = call(*words).text
    assert "accuracy           0.5000 ± 0.4900   (95 % interval of 4 labels)" in shown
    assert "other  " in shown
    refused = call(*words, "--confusion", "map.txt")
    assert (refused.code, refused.error) == (2, "--confusion map.txt: a chart is written as .png, .svg, .pdf")


def test_the_finished_model_is_calibrated_and_says_so(names: Path) -> None:
    config = json.loads((names / "config.json").read_bytes())
    assert config["network"]["temperature"] != 1.0
    card = (names / "README.md").read_text()
    assert "calibration error" in card
    assert "seqgen train-classifier names" in card
    modeldir.verify(names)


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"", "", "t.tsv: no labelled text, so there is nothing to tell apart"),
        (b"x\ta\ny\ta\n", "", "t.tsv: one class only, 'a', so there is nothing to tell apart"),
        (b"x\ta\ny\n", "", "t.tsv, line 2: 0 tabs, but text and label are parted by exactly one"),
        (b"x\ta\n\xff\tb\n", "", "t.tsv, line 2: not UTF-8 (byte 0xff)"),
        (b"x\ta\ny\tb\n", "--text-column z", "t.tsv, line 1: no column 'z' or 'label'; the columns are 'x', 'a'"),
        (b"x\ta\ny\tb\n", "--valid nowhere.tsv", "nowhere.tsv: no such file or folder"),
        (b"x y z\n", "--per-token", "t.tsv, line 1: 3 columns, not a word and its tag; the columns are 'x', 'y', 'z'"),
    ],
)
def test_bad_data_is_refused_before_there_is_a_run(
    content: bytes, words: str, message: str, folder: Path, call: Call
) -> None:
    Path("t.tsv").write_bytes(content)
    ended = call("train-classifier", "t.tsv", *words.split(), "--out", "m", "--steps", "1")
    assert (ended.code, ended.error) == (2, message)
    assert not Path("m").exists()


def test_a_text_that_is_a_file_is_taken_for_a_mistake(names: Path, call: Call, folder: Path) -> None:
    Path("texts.txt").write_text("x\n")
    ended = _classify(call, names, "texts.txt")
    assert (ended.code, ended.hint) == (2, "seqgen classify < texts.txt")
