"""`seqgen score`: the log-probability of given translations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Call, TinyModel, shell

KEYS = ["source", "target", "log_prob", "tokens", "log_probs", "unknown"]


@pytest.fixture
def words(tiny_translation: TinyModel, folder: Path) -> list[str]:
    return ["score", "-m", tiny_translation.name, "--threads", "1"]


def paths_of(tiny: TinyModel) -> list[str]:
    return [str(tiny.data), str(tiny.data.with_suffix(".en"))]


def test_files_and_standard_input_score_alike_and_as_evaluate_does(
    tiny_translation: TinyModel, words: list[str], call: Call, piped: Call
) -> None:
    paths = paths_of(tiny_translation)
    sides = [Path(path).read_text().splitlines() for path in paths]
    pairs = list(zip(*sides, strict=True))
    pasted = "".join(f"{source}\t{target}\n" for source, target in pairs)
    scored = call(*words, "--json", *paths)
    assert piped(pasted.encode(), *words, "--json", "--batch-size", "1").text.count("\n") == len(pairs)
    assert piped(pasted.encode(), *words, "--json").out == scored.out
    told = [json.loads(line) for line in scored.text.splitlines()]
    assert [(t["source"], t["target"]) for t in told] == pairs
    assert list(told[0]) == KEYS
    for t in told:
        assert t["tokens"][-1] == "</s>"
        assert t["log_prob"] == pytest.approx(sum(t["log_probs"]), abs=1e-4)
    judged = json.loads(call("evaluate", "-m", tiny_translation.name, *paths, "--json", "--beam", "1").out)
    total, tokens = sum(t["log_prob"] for t in told), sum(len(t["tokens"]) for t in told)
    assert judged["loss"] == pytest.approx(-total / tokens, abs=1e-5)


def test_columns(words: list[str], piped: Call) -> None:
    text = b"eins zwei\tone two\n\t\nnur\t\n"
    told = [json.loads(line) for line in piped(text, *words, "--json").text.splitlines()]
    rows = [line.split("\t") for line in piped(text, *words, "--tokens").text.splitlines()]
    assert [float(row[0]) for row in rows] == pytest.approx([t["log_prob"] for t in told], abs=1e-4)
    assert [int(row[1]) for row in rows] == [len(t["tokens"]) for t in told]
    assert [cell.rsplit("=", 1)[0] for cell in rows[0][2].split(" ")] == told[0]["tokens"]
    assert rows[1][1] == "1"  # nothing but the end
    plain = [line.split("\t") for line in piped(text, *words).text.splitlines()]
    assert plain == [row[:2] for row in rows]


def test_a_translation_scores_what_translate_said(tiny_translation: TinyModel, words: list[str], piped: Call) -> None:
    model = words[1:]
    told = json.loads(piped(b"eins zwei\n", "translate", *model, "--json", "--beam", "3").out)
    scored = json.loads(piped(f"eins zwei\t{told['text']}\n".encode(), *words, "--json").out)
    if scored["tokens"] == told["tokens"]:
        assert scored["log_prob"] == pytest.approx(told["log_prob"], abs=1e-3)


def test_a_line_without_a_tab_is_named_and_what_came_before_is_out(words: list[str], piped: Call) -> None:
    ended = piped(b"eins\tone\nzwei two\n", *words, "--batch-size", "1")
    assert ended.code == 2
    assert ended.error.startswith("standard input, line 2: 0 tabs")
    assert ended.out.count(b"\n") == 1


def test_blank_lines_are_pairs_by_standard_input_as_from_a_file(words: list[str], folder: Path, piped: Call) -> None:
    content = b"eins\tone\n\nzwei\ttwo\n"
    Path("pairs.tsv").write_bytes(content)
    from_file = piped(b"", *words, "pairs.tsv")
    assert from_file.out.count(b"\n") == 3
    for more in ([], ["-"]):
        assert piped(content, *words, *more).out == from_file.out
    objects = b'{"source": "eins", "target": "one"}\n\n{"source": "zwei", "target": "two"}\n'
    assert piped(objects, *words).out == from_file.out


def test_pairs_come_from_process_substitutions(tiny_translation: TinyModel, folder: Path) -> None:
    Path("pairs.tsv").write_text("eins\tone\nzwei\ttwo\n")
    run = f"seqgen score -m {tiny_translation.name} --threads 1"
    plain = shell(f"{run} pairs.tsv", cwd=folder)
    assert plain.out.count(b"\n") == 2
    for paths in ("<(cat pairs.tsv)", "<(cut -f1 pairs.tsv) <(cut -f2 pairs.tsv)", "/dev/stdin < pairs.tsv"):
        assert shell(f"{run} {paths}", cwd=folder).out == plain.out


def test_what_comes_before_a_faulty_line_is_scored_whatever_the_batch(words: list[str], piped: Call) -> None:
    ended = piped(b"eins\tone\nzwei\ttwo\nzwei two\n", *words)
    assert ended.code == 2
    assert ended.out.count(b"\n") == 2


def test_columns_of_a_table_are_named(words: list[str], folder: Path, call: Call, piped: Call) -> None:
    Path("pairs.csv").write_text('id,en,de\n1,"one, two",eins zwei\n')
    wanted = piped(b"eins zwei\tone, two\n", *words).out
    assert call(*words, "pairs.csv", "--source-key", "de", "--target-key", "en").out == wanted
    ended = call(*words, "pairs.csv")
    assert ended.error == "pairs.csv, line 1: 3 columns, not 2 ('id', 'en', 'de')"


def test_characters_never_seen_are_told_once_and_counted(words: list[str], piped: Call) -> None:
    lines = "eins 猫\tone\nzwei\ttwo 犬猫\n".encode()
    ended = piped(lines, *words, "--json")
    assert [json.loads(line)["unknown"] for line in ended.text.splitlines()] == [["猫"], ["犬", "猫"]]
    assert ended.err == "warning: the model has never seen '猫', '犬', 3 times in all\n"


def test_files_of_unequal_length_are_named(words: list[str], folder: Path, call: Call) -> None:
    Path("a").write_text("eins\nzwei\n")
    Path("b").write_text("one\n")
    ended = call(*words, "a", "b")
    assert ended.code == 2
    assert ended.error == "a has 2 lines, but b has 1"
    for missing in (["a"], ["a", "nothing"], ["a", "b", "c"]):
        assert call(*words, *missing).code == 2


def test_nothing_to_score_is_nothing(words: list[str], piped: Call) -> None:
    ended = piped(b"", *words)
    assert (ended.code, ended.out) == (0, b"")
