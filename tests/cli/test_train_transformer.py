"""`seqgen train-transformer`: one path is a text, two are pairs; the commands for use take both kinds of model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from running import Call, TinyModel, digit_pairs, write_pairs

SMALL = "--threads 1 --embed-size 16 --heads 2 --ffn-size 24 --layers 1 --warmup 1 --precision fp32".split()
TEXT = [*SMALL, "--batch-size", "4", "--context", "16"]
PAIRS = [*SMALL, "--batch-size", "16", "--vocab-size", "300"]


@pytest.fixture
def pairs(folder: Path) -> Path:
    for name, count, seed in (("train", 120, 0), ("val", 10, 1)):
        write_pairs(folder, name, digit_pairs(count, seed=seed))
    return folder


@pytest.fixture
def text(tiny: TinyModel, folder: Path) -> Path:
    (folder / "data.txt").write_bytes(tiny.data.read_bytes()[:6000])
    return folder


def weights(directory: str) -> bytes:
    return Path(directory, "model.safetensors").read_bytes()


def config_of(directory: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(directory, "config.json").read_text())
    return found


def test_one_path_is_a_text(text: Path, call: Call) -> None:
    ended = call("train-transformer", "data.txt", *TEXT, "--steps", "3")
    assert (ended.code, ended.out) == (0, b""), ended.err
    directory = "models/data-transformer"
    assert config_of(directory)["task"] == "language-model"
    assert config_of(directory)["architecture"] == "transformer"
    written = call("sample", "-m", directory, "--length", "40", "--seed", "1", "--prompt", "a")
    assert (written.code, len(written.text.rstrip("\n")) >= 40) == (0, True)
    assert written.text == call("sample", "-m", directory, "--length", "40", "--seed", "1", "--prompt", "a").text
    judged = call("evaluate", "-m", directory, "data.txt", "--tail", "0.1", "--json")
    measured = json.loads(judged.text)
    logged = [json.loads(line) for line in Path(directory, "metrics.jsonl").read_text().splitlines()]
    assert measured["loss"] == pytest.approx(logged[-1]["valid_loss"], abs=1e-5)
    assert "Transformer layer of 16 with 2 heads, context 16" in Path(directory, "README.md").read_text()


def test_two_paths_are_pairs(pairs: Path, call: Call) -> None:
    ended = call("train-transformer", "train.de", "train.en", "--valid", "val.de", "val.en", *PAIRS, "--steps", "3")
    assert (ended.code, ended.out) == (0, b""), ended.err
    directory = "models/train-de-en-transformer"
    assert config_of(directory)["task"] == "translation"
    outputs = {}
    for search in ("--greedy", "--beam=3", "--exhaustive", "--sample"):
        seed = ["--seed", "1"] if search == "--sample" else []
        ended = call("translate", "-m", directory, search, *seed, "--max-length", "4", "eins zwei", "drei")
        assert ended.code == 0, ended.err
        outputs[search] = ended.text
        assert len(ended.text.splitlines()) == 2
    scored = call("translate", "-m", directory, "--alignments", "--scores", "--max-length", "4", "eins")
    assert scored.code == 0, scored.err
    judged = call("evaluate", "-m", directory, "val.de", "val.en", "--json")
    assert json.loads(judged.text)["sentences"] == 10


@pytest.mark.slow
@pytest.mark.parametrize("paths", [["data.txt"], ["train.de", "train.en"]])
def test_the_command_of_the_card_and_training_json_replay_the_run(
    paths: list[str], text: Path, pairs: Path, call: Call
) -> None:
    common = TEXT if len(paths) == 1 else PAIRS
    chosen = "--norm post --kv-heads 1 --activation swiglu --positions learned --untied --no-causal --steps 2".split()
    only = ["--valid", "0.2"]
    if len(paths) == 2:
        only = "--decoder-layers 2 --separate --vocab-size 286 --keep loss".split()
    ended = call("train-transformer", *paths, *common, *chosen, *only, "--out", "run")
    assert ended.code == 0, ended.err
    (line,) = re.findall(r"^seqgen train-transformer .*$", Path("run/README.md").read_text(), re.MULTILINE)
    assert call(*shlex.split(line)[1:-2], "--out", "again").code == 0
    assert call("train-transformer", "--config", "run/training.json", "--out", "third").code == 0
    assert weights("run") == weights("again") == weights("third")


def test_what_a_network_without_a_mask_makes_of_given_text_is_called_a_leak(
    text: Path, pairs: Path, call: Call
) -> None:
    for paths, options, judge in (
        (["data.txt"], TEXT, ["evaluate", "data.txt"]),
        (["train.de", "train.en"], PAIRS, ["score", "val.de", "val.en"]),
    ):
        for mask in ("--causal", "--no-causal"):
            assert call("train-transformer", *paths, *options, mask, "--steps", "1", "--out", mask + judge[0]).code == 0
            judged = call(*judge, f"--model={mask}{judge[0]}")
            assert judged.code == 0, judged.err
            assert ("a leak" in judged.err) == (mask == "--no-causal")


def test_a_finished_run_goes_on_when_asked_for_more(text: Path, call: Call) -> None:
    assert call("train-transformer", "data.txt", *TEXT, "--steps", "2", "--out", "run").code == 0
    before = weights("run")
    ended = call("train-transformer", "--resume", "--out", "run", "--steps", "4")
    assert ended.code == 0, ended.err
    assert weights("run") != before


def test_a_table_is_pairs_whatever_it_is_called_and_gone_on_with_when_it_is_gone(pairs: Path, call: Call) -> None:
    sides = (Path(name).read_text().splitlines() for name in ("train.de", "train.en"))
    Path("pairs").write_text("source,target\n" + "".join(f'{s},"{t}"\n' for s, t in zip(*sides, strict=True)))
    ended = call("train-transformer", "pairs", *PAIRS, "--steps", "1", "--out", "run")
    assert ended.code == 0, ended.err
    assert json.loads(Path("run/config.json").read_text())["task"] == "translation"
    Path("pairs").unlink()
    assert call("train-transformer", "--resume", "--out", "run", "--steps", "2").code == 0


def test_a_table_without_known_columns_is_refused_with_what_was_found(folder: Path, call: Call) -> None:
    Path("pairs.csv").write_text("id,de,en\n1,a,b\n")
    ended = call("train-transformer", "pairs.csv", "--threads", "1")
    assert ended.code == 2
    assert ended.error == "pairs.csv, line 1: 3 columns, not 2 ('id', 'de', 'en')"
    assert "--source-key" in ended.hint


def test_validation_takes_a_fraction_a_text_or_two_files(text: Path, pairs: Path, call: Call) -> None:
    Path("valid.txt").write_text(Path("data.txt").read_text()[:900])
    for words in (["--valid", "0.3", "data.txt"], ["data.txt", "--valid", "0.3"], ["data.txt", "--valid", "valid.txt"]):
        ended = call("train-transformer", *words, *TEXT, "--steps", "1", "--out", "run", "--overwrite")
        assert ended.code == 0, ended.err
        assert json.loads(Path("run/training.json").read_text())["settings"]["text"]["valid"] in words
    words = ["--valid", "val.de", "val.en", "train.de", "train.en"]
    ended = call("train-transformer", *words, *PAIRS, "--steps", "1", "--out", "pairs")
    assert ended.code == 0, ended.err
    assert json.loads(Path("pairs/training.json").read_text())["settings"]["text"]["valid"] == ["val.de", "val.en"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "nothing to train on"),
        ("nothing.txt", "nothing.txt"),
        ("data.txt --heads 3", "embed-size is 128, but each of 3 heads"),
        ("data.txt --kv-heads 3", "4 heads do not make 3 equal groups"),
        ("data.txt --embed-size 0", "embed-size is 0"),
        ("data.txt --context 0", "context is 0"),
        ("data.txt --positions here", "--positions"),
        ("data.txt --decoder-layers 2", "--decoder-layers has no effect on a text"),
        ("train.de train.en --tokens char", "--tokens has no effect on sentence pairs"),
        ("data.txt --valid a b", "one path or fraction"),
        ("train.de train.en train.de", "not 3"),
        ("--resume", "needs --out"),
        ("data.txt --steps 3 --minutes 2", "one of steps, epochs and minutes"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_leaves_nothing(
    line: str, said: str, text: Path, pairs: Path, call: Call
) -> None:
    before = sorted(str(path) for path in pairs.rglob("*"))
    ended = call("train-transformer", *line.split(), "--threads", "1")
    assert (ended.code, ended.out) == (2, b""), ended.err
    assert said in " ".join(ended.err.split())
    assert sorted(str(path) for path in pairs.rglob("*")) == before
