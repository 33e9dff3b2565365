"""`seqgen translate` from end to end: n lines in, n lines out, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from running import GERMAN, Call, TinyModel, command, environment, seqgen, shell

from seqgen.train import machine

JSON_KEYS = ["source", "source_tokens", "unknown", "text", "score", "log_prob", "tokens", "log_probs"]


def lines_of(tiny: TinyModel) -> list[str]:
    return tiny.data.read_text().splitlines()


@pytest.fixture
def model(tiny_translation: TinyModel, folder: Path) -> list[str]:
    return ["-m", tiny_translation.name, "--threads", "1"]


# Lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["--greedy", "--beam=3", "--exhaustive", "--sample"])
@pytest.mark.parametrize("batch_size", ["1", "64"])
def test_n_lines_in_n_lines_out(
    method: str, batch_size: str, tiny_translation: TinyModel, model: list[str], piped: Call
) -> None:
    sources = ["", *lines_of(tiny_translation)[:4], "   ", "", "Zürich 🙂 \t ?", "eins\r"]
    words = [
        "translate",
        *model,
        method,
        "--batch-size",
        batch_size,
        "--max-length=12",
        "--min-length=1",
        "--max-nodes=50",
    ]
    if method != "--exhaustive":
        words = words[:-1]
    ended = piped("\n".join([*sources, "zwei"]).encode(), *words)  # no line feed at the end
    assert ended.code == 0, ended.err
    assert ended.text.endswith("\n")
    outputs = ended.text[:-1].split("\n")
    assert len(outputs) == len(sources) + 1
    assert [bool(o) for o in outputs[:7]] == [False, *[True] * 4, False, False]


def test_a_byte_order_mark_is_no_part_of_the_first_line(model: list[str], piped: Call) -> None:
    line = "Zürich eins".encode()
    with_mark, without = (piped(mark + line, "translate", *model, "--json") for mark in (b"\xef\xbb\xbf", b""))
    assert with_mark.code == 0
    assert with_mark.text == without.text


@pytest.mark.parametrize(("count", "measured"), [(63, 0), (64, 1), (130, 1)])
def test_threads_are_measured_once_where_there_is_a_batch(
    count: int, measured: int, tiny_translation: TinyModel, folder: Path, piped: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.device] = []

    def fastest(device: torch.device) -> int:
        asked.append(device)
        return 1

    monkeypatch.setattr(machine, "fastest_threads", fastest)
    ended = piped(b"eins zwei\n" * count, "translate", "-m", tiny_translation.name, "--greedy", "--max-length=3")
    assert (ended.code, len(ended.text.splitlines()), len(asked)) == (0, count, measured)


def test_products_may_be_in_bf16(tiny_translation: TinyModel, model: list[str], piped: Call) -> None:
    exact, rounded = (
        piped(tiny_translation.data.read_bytes(), "translate", *model, "--scores", "--precision", precision)
        for precision in ("fp32", "bf16")
    )
    assert (exact.code, rounded.code) == (0, 0), rounded.err
    assert exact.out != rounded.out
    some = [float(line.split("\t")[-1]) for line in exact.text.splitlines()]
    others = [float(line.split("\t")[-1]) for line in rounded.text.splitlines()]
    assert others == pytest.approx(some, abs=0.2)


def test_the_model_has_learned_something(tiny_translation: TinyModel, model: list[str], piped: Call) -> None:
    """Otherwise these tests would say little."""
    ended = piped(tiny_translation.data.read_bytes(), "translate", *model)
    references = tiny_translation.data.with_suffix(".en").read_text().split()
    outputs = ended.text.split()
    assert len(set(outputs) & set(references)) >= 5


def test_arguments_are_sentences(tiny_translation: TinyModel, model: list[str], call: Call, piped: Call) -> None:
    sources = lines_of(tiny_translation)[:3]
    through = piped("".join(f"{s}\n" for s in sources).encode(), "translate", *model)
    assert call("translate", *model, *sources).out == through.out
    assert call("translate", *model, "").out == b"\n"


def test_no_lines_are_no_lines(model: list[str], piped: Call) -> None:
    assert (piped(b"", "translate", *model).out, piped(b"\n", "translate", *model).out) == (b"", b"\n")


def test_the_batch_changes_nothing(tiny_translation: TinyModel, model: list[str], piped: Call) -> None:
    text = tiny_translation.data.read_bytes()
    outs = {
        piped(text, "translate", *model, *words).out
        for words in (["--batch-size", "1"], ["--batch-size", "7"], ["--batch-tokens", "12"], [], ["--beam", "5"])
    }
    assert len(outs) == 1


def test_what_is_not_utf8_is_named_and_what_came_before_is_out(model: list[str], piped: Call) -> None:
    ended = piped(b"eins\nzwei \xff drei\n", "translate", *model)
    assert ended.code == 2
    assert ended.error == "standard input, line 2: not UTF-8 (byte 0xff)"
    assert ended.out.count(b"\n") == 1


def test_utf8_whatever_the_locale(tiny_translation: TinyModel, folder: Path) -> None:
    ended = seqgen("translate", "-m", tiny_translation.name, "--json", "Mädchen", cwd=folder, LC_ALL="C")
    assert json.loads(ended.out)["source"] == "Mädchen"


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it(tiny_translation: TinyModel, folder: Path) -> None:
    words = f"seqgen translate -m '{tiny_translation.name}' --greedy --batch-size 1"
    ended = shell(f"set -o pipefail\nyes eins | head -300 | {words} | head -2", cwd=folder)
    assert (ended.code, ended.err) == (141, "")
    assert ended.out.count(b"\n") == 2


def test_an_answer_is_there_before_the_next_line_is_written(tiny_translation: TinyModel, folder: Path) -> None:
    words = command("translate", "-m", tiny_translation.name, "--batch-size", "1", "--greedy", "--threads", "1")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=folder
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            for source in (b"eins\n", b"\n", b"zwei drei\n"):
                process.stdin.write(source)
                process.stdin.flush()
                assert process.stdout.readline().endswith(b"\n")
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()


# What is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ([], ["alignment"]),
        (["--greedy"], ["alignment"]),
        (["--n-best", "2"], ["alignment", "hypotheses"]),
        (["--exhaustive", "--max-nodes", "200"], ["alignment", "optimal", "gap", "nodes"]),
    ],
)
def test_json_keys(words: list[str], more: list[str], model: list[str], piped: Call) -> None:
    ended = piped(b"eins zwei\n\n", "translate", *model, "--json", *words)
    first, second = map(json.loads, ended.out.splitlines())
    assert list(first) == JSON_KEYS + more
    assert [key for key in second if key in JSON_KEYS] == JSON_KEYS
    assert second["text"] == ""
    assert first["source_tokens"][-1] == first["tokens"][-1] == "</s>"
    assert len(first["tokens"]) == len(first["log_probs"])
    assert first["log_prob"] == pytest.approx(sum(first["log_probs"]), abs=1e-4)
    assert first["score"] == pytest.approx(first["log_prob"], abs=1e-5)
    assert len(first["alignment"]) == len(first["tokens"]) - 1
    for source, target in first["alignment"]:
        assert 0 <= source < len(first["source_tokens"]) - 1
        assert 0 <= target < len(first["tokens"]) - 1
    if "hypotheses" in more:
        scores = [hypothesis["score"] for hypothesis in first["hypotheses"]]
        assert scores == sorted(scores, reverse=True)
        assert first["hypotheses"][0]["text"] == first["text"]
        assert second["hypotheses"] == []


def test_columns(model: list[str], piped: Call) -> None:
    text = b"eins zwei\n\ndrei\n"
    plain = piped(text, "translate", *model).text.splitlines()
    told = [json.loads(line) for line in piped(text, "translate", *model, "--json").out.splitlines()]
    columns = piped(text, "translate", *model, "--scores", "--alignments").text
    shown = [line.split("\t") for line in columns.splitlines()]
    assert [row[0] for row in shown] == plain
    assert shown[1] == ["", "", ""]
    for row, value in zip(shown, told, strict=True):
        if value["text"]:
            assert float(row[1]) == pytest.approx(value["score"], abs=1e-4)
            assert row[2] == " ".join(f"{s}-{t}" for s, t in value["alignment"])


def test_the_n_best_stand_behind_the_number_of_their_line(model: list[str], piped: Call) -> None:
    ended = piped(b"eins zwei\n\ndrei\n", "translate", *model, "--n-best", "3", "--scores")
    rows = [line.split("\t") for line in ended.text.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "3", "3", "3"]
    assert rows[3] == ["2", "", ""]
    assert float(rows[0][2]) >= float(rows[1][2]) >= float(rows[2][2])


def test_a_prefix_begins_each_output(model: list[str], piped: Call) -> None:
    ended = piped(b"eins zwei\n\ndrei\n", "translate", *model, "--prefix", "seven eight")
    first, second, third = ended.text[:-1].split("\n")
    assert first.startswith("seven eight")
    assert second == ""
    assert third.startswith("seven eight")


@pytest.mark.parametrize("method", ["--greedy", "--beam 3", "--exhaustive --max-nodes 50", "--sample --seed 1"])
@pytest.mark.parametrize("spaces", [" ", "   ", "\u00a0"])
def test_a_space_behind_a_prefix_ends_its_word(method: str, spaces: str, model: list[str], piped: Call) -> None:
    ended = piped(b"sieben\nnull eins\n", "translate", *model, *method.split(), "--prefix", f"se{spaces}", "--json")
    for line in ended.text.splitlines():
        words = json.loads(line)["text"].split(" ")
        assert words[0] == "se"
        assert len(words) > 1
    free = piped("\n".join(GERMAN).encode(), "translate", *model, "--prefix", "se").text.splitlines()
    assert any(len(line.split()[0]) > len("se") for line in free)
    short = piped(b"sieben\n", "translate", *model, *method.split(), "--prefix", f"se{spaces}", "--max-length", "1")
    assert short.text == "se\n"


def test_characters_never_seen_are_told_once_and_counted(model: list[str], piped: Call, call: Call) -> None:
    ended = piped("eins 猫\nzwei\n猫犬\n".encode(), "translate", *model, "--json")
    assert [json.loads(line)["unknown"] for line in ended.text.splitlines()] == [["猫"], [], ["猫", "犬"]]
    assert ended.err == "warning: the model has never seen '猫', '犬', 3 times in all\n"
    assert piped(b"eins\n", "translate", *model, "--prefix", "猫").err == "warning: the model has never seen '猫'\n"
    assert piped("猫\n".encode(), "translate", *model, "-q").err == ""


def test_a_dash_is_standard_input_and_a_file_is_no_sentence(model: list[str], piped: Call, folder: Path) -> None:
    plain = piped(b"eins\nzwei\n", "translate", *model)
    assert piped(b"eins\nzwei\n", "translate", *model, "-").out == plain.out
    Path("in put.de").write_text("eins\n")
    ended = piped(b"", "translate", *model, "in put.de")
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error == "in put.de is a file, but a text is expected"
    assert ended.hint == "seqgen translate < 'in put.de'"
    assert piped(b"", "translate", *model, "-", "eins").code == 2


def test_a_seed_repeats_a_sample_and_one_that_was_drawn_is_told(model: list[str], piped: Call) -> None:
    words = ["translate", *model, "--sample", "--temperature", "2"]
    drawn = piped(b"eins zwei drei\n" * 5, *words)
    (line,) = drawn.err.splitlines()
    assert line.startswith("seed ")
    again = piped(b"eins zwei drei\n" * 5, *words, "--seed", line.removeprefix("seed "))
    assert (again.out, again.err) == (drawn.out, "")
    assert len(set(drawn.text.splitlines())) > 1


def test_a_line_that_is_too_long_is_told(model: list[str], piped: Call) -> None:
    ended = piped(b"eins\n" + b"eins zwei " * 600 + b"\n", "translate", *model, "--greedy", "--max-length", "5")
    assert ended.code == 0
    assert ended.out.count(b"\n") == 2
    assert ended.err == "warning: line 2 is too long: only its beginning was translated\n"


def test_an_ensemble_of_a_model_with_itself_is_the_model(
    tiny_translation: TinyModel, model: list[str], piped: Call
) -> None:
    text = tiny_translation.data.read_bytes()
    alone = piped(text, "translate", *model)
    assert piped(text, "translate", *model, "--ensemble", tiny_translation.name).out == alone.out


def test_trees_and_pictures(model: list[str], piped: Call, folder: Path) -> None:
    plain = piped(b"eins zwei\n\n", "translate", *model)
    words = ["--show-beams", "--beam-svg", "beam.svg", "--attention-png", "attention.png"]
    ended = piped(b"eins zwei\n\n", "translate", *model, *words)
    assert ended.code == 0, ended.err
    assert ended.out == plain.out
    assert ended.err
    assert Path("beam.svg").read_text().lstrip().startswith(("<svg", "<?xml"))
    assert Path("attention.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_line_has_no_picture(model: list[str], piped: Call, folder: Path) -> None:
    for picture in ("--beam-svg=b.svg", "--attention-png=a.png"):
        ended = piped(b"\neins\n", "translate", *model, picture)
        assert (ended.code, ended.out) == (2, b"")
        assert ended.error == "the first line is empty: there is nothing to draw"
    assert list(folder.iterdir()) == []
    assert piped(b"\neins\n", "translate", *model, "--show-beams").out.count(b"\n") == 2


# What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--greedy --exhaustive", "choose one"),
        ("--greedy --beam 3", "choose one"),
        ("--sample --beam 3", "choose one"),
        ("--sample --greedy", "choose one"),
        ("--exhaustive --sample", "choose one"),
        ("--beam 0", "--beam"),
        ("--beam 2 --n-best 3", "no 3 best"),
        ("--greedy --n-best 2", "--n-best has no effect with --greedy"),
        ("--sample --n-best 2", "--n-best has no effect with --sample"),
        ("--n-best 0", "n-best"),
        ("--temperature 0.5", "--temperature has no effect without --sample"),
        ("--top-k 3 --greedy", "--top-k has no effect without --sample"),
        ("--seed 3", "--sample"),
        ("--greedy --max-hypotheses 3", "--max-hypotheses"),
        ("--exhaustive --max-hypotheses 3", "--max-hypotheses"),
        ("--beam 3 --max-nodes 7", "--exhaustive"),
        ("--greedy --max-seconds 7", "--exhaustive"),
        ("--greedy --show-beams", "--show-beams has no effect with --greedy"),
        ("--sample --beam-svg x.svg", "--beam-svg has no effect with --sample"),
        ("--length-penalty -1", "length-penalty"),
        ("--length-penalty nan", "length-penalty"),
        ("--json --scores", "--json"),
        ("--json --alignments", "--json"),
        ("--batch-size 0", "--batch-size"),
        ("-m no-such-model", "no-such-model"),
        ("-q -v", "exclude each other"),
    ],
)
def test_what_cannot_be_followed_is_refused(line: str, said: str, model: list[str], piped: Call) -> None:
    ended = piped(b"eins\n", "translate", *([] if line.startswith("-m ") else model), *line.split())
    assert (ended.code, ended.out) == (2, b""), ended.err
    assert said in ended.err


def test_a_language_model_does_not_translate(tiny: TinyModel, folder: Path, piped: Call) -> None:
    ended = piped(b"eins\n", "translate", "-m", tiny.name)
    assert ended.code == 2
    assert "not a translation model" in ended.error


def test_a_translation_model_does_not_write(tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    ended = call("sample", "-m", tiny_translation.name, "--length", "5", "-p", "")
    assert ended.code == 2
    assert "translation" in ended.error


def test_an_unfinished_run_answers_with_its_newest_checkpoint(
    tiny_translation: TinyModel, folder: Path, piped: Call
) -> None:
    shutil.copytree(tiny_translation.path, "run")
    Path("run/MANIFEST.json").unlink()
    assert piped(b"eins\n", "translate", "-m", "run").code == 0
    assert piped(b"eins\n", "score", "-m", "run").code == 2  # no tab
