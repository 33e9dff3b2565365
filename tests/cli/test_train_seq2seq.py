"""`seqgen train-seq2seq` from end to end: what it publishes, that it can be repeated, and what it refuses."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from running import SMALL_PAIRS, Call, TinyModel, digit_pairs, write_pairs

from seqgen import modeldir
from seqgen.config import ParallelConfig, Seq2SeqConfig, TrainConfig, TranslationSettings

FILES = {"config.json", "model.safetensors", "training.json", "metrics.jsonl", "README.md"}


def weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def settings_of(directory: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((directory / "training.json").read_bytes())["settings"]
    return settings


@pytest.fixture
def pairs(folder: Path) -> Path:
    """Files of 120 pairs in the current directory: aligned, TSV and JSONL."""
    some = digit_pairs(120, seed=0)
    write_pairs(folder, "train", some)
    Path("train.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in some))
    Path("train.jsonl").write_text("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in some))
    return folder


# A finished run -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_a_model_directory(tiny_translation: TinyModel) -> None:
    path = tiny_translation.path
    listed = set(json.loads((path / "MANIFEST.json").read_bytes())["files"])
    assert listed == FILES | {"source.model", "target.model"}
    modeldir.verify(path)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    judged = [line for line in lines if "valid_bleu" in line]
    assert {"valid_loss", "valid_perplexity", "valid_chrf"} <= set(judged[0])
    assert judged[-1]["final"] is True
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]


def test_the_card_holds_measures_and_the_command(tiny_translation: TinyModel) -> None:
    card = (tiny_translation.path / "README.md").read_text()
    for said in ("unidirectional encoder", "dot attention", "validated on `val.de` and `val.en`", "BLEU", "tok:13a"):
        assert said in card
    (line,) = re.findall(r"^seqgen train-seq2seq .*$", card, re.MULTILINE)
    for said in (
        "train.de train.en",
        "--valid val.de --valid val.en",
        "--unidirectional",
        "--separate",
        "--untied",
        "--no-input-feeding",
        "--start eos",
        "--keep loss",
    ):
        assert said in line


def test_the_command_of_the_card_replays_the_run_bit_for_bit(
    tiny_translation: TinyModel, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (tiny_translation.path / "README.md").read_text()
    (line,) = re.findall(r"^seqgen train-seq2seq .*$", card, re.MULTILINE)
    monkeypatch.chdir(tiny_translation.folder)
    ended = call(*shlex.split(line)[1:-2], "--out", str(tmp_path / "again"))
    assert ended.code == 0, ended.err
    assert weights(tmp_path / "again") == weights(tiny_translation.path)
    assert settings_of(tmp_path / "again") == settings_of(tiny_translation.path)


def test_training_json_replays_the_run_and_options_win(
    tiny_translation: TinyModel, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_translation.folder)
    ended = call("train-seq2seq", "--config", "tiny/training.json", "--steps", "2", "--tied", "-o", str(tmp_path / "x"))
    assert ended.code == 0, ended.err
    before, after = settings_of(tiny_translation.path), settings_of(tmp_path / "x")
    assert (after["train"].pop("steps"), after["network"].pop("tied")) == (2, True)
    del before["train"]["steps"], before["network"]["tied"]
    assert after == before


def test_every_setting_is_typed_as_the_command_reads_it(pairs: Path, call: Call) -> None:
    """Each option away from its default, through `command_line` and back through the parser."""
    settings = TranslationSettings(
        text=ParallelConfig(
            paths=("train.de", "train.en"),
            valid=("train.tsv",),
            vocab_size=300,
            max_tokens=50,
            order="random",
            loss_steps="random",
            label_smoothing=0.25,
            subword_sampling=0.4,
            keep="loss",
        ),
        network=Seq2SeqConfig(
            cell="rnn",
            embed_size=6,
            hidden_size=10,
            num_layers=2,
            dropout=0.1,
            bidirectional=False,
            attention="additive",
            attention_size=7,
            input_feeding=False,
            tied=False,
            reverse_source=True,
            start="eos",
        ),
        train=TrainConfig(
            seed=4,
            steps=1,
            batch_size=10,
            grad_accumulation=2,
            lr=0.003,
            schedule="linear",
            warmup_steps=2,
            weight_decay=0.0,
            clip=0.5,
            ema=0.0,
            precision="fp32",
            weights="fp16",
            eval_every=7,
            save_every=8,
            log_every=9,
            patience=3,
            device="cpu",
            threads=1,
        ),
    )
    line = settings.command_line(Path("run"))
    ended = call(*shlex.split(line)[1:])
    assert ended.code == 0, ended.err
    found = modeldir.read_json(Path("run/training.json"))["settings"]
    assert found == json.loads(json.dumps({k: vars(v) for k, v in vars(settings).items()}))


@pytest.mark.parametrize("attention", ["none", "general"])
def test_a_tsv_and_a_jsonl_are_the_two_files(attention: str, pairs: Path, call: Call) -> None:
    small = [*SMALL_PAIRS, "--steps", "2", "--attention", attention]
    for paths, out in ((["train.de", "train.en"], "a"), (["train.tsv"], "b"), (["train.jsonl"], "c")):
        ended = call("train-seq2seq", *paths, *small, "--out", out)
        assert ended.code == 0, ended.err
    assert weights(Path("a")) == weights(Path("b")) == weights(Path("c"))


def test_a_table_from_standard_input_and_one_with_named_columns_are_the_two_files(
    pairs: Path, call: Call, piped: Call
) -> None:
    words = ["train-seq2seq", *SMALL_PAIRS, "--steps", "2"]
    ended = call(*words, "train.de", "train.en", "--valid", "train.tsv", "--out", "files")
    assert ended.code == 0, ended.err
    ended = piped(Path("train.tsv").read_bytes(), *words, "-", "--valid", "train.tsv", "--out", "stdin")
    assert ended.code == 0, ended.err
    rows = (line.split("\t") for line in Path("train.tsv").read_text().splitlines())
    Path("named.csv").write_text("en,de,id\r\n" + "".join(f'"{target}",{source},7\r\n' for source, target in rows))
    named = ["named.csv", "--source-key", "de", "--target-key", "en", "--valid", "train.de", "train.en"]
    ended = call(*words, *named, "--out", "csv")
    assert ended.code == 0, ended.err
    assert weights(Path("files")) == weights(Path("stdin")) == weights(Path("csv"))
    assert "--source-key de --target-key en" in Path("csv/README.md").read_text()


def test_a_run_without_a_name_is_called_after_its_languages(pairs: Path, call: Call) -> None:
    small = [*SMALL_PAIRS, "--steps", "1"]
    assert call("train-seq2seq", "train.de", "train.en", *small).code == 0
    assert Path("models/train-de-en-seq2seq/MANIFEST.json").is_file()
    assert call("train-seq2seq", "train.tsv", *small).code == 0
    assert Path("models/train-seq2seq/MANIFEST.json").is_file()


def test_pairs_with_an_empty_side_are_counted_and_named(pairs: Path, call: Call) -> None:
    lines = Path("train.en").read_text().splitlines()
    lines[4] = lines[7] = ""
    Path("train.en").write_text("".join(f"{line}\n" for line in lines))
    ended = call("train-seq2seq", "train.de", "train.en", *SMALL_PAIRS, "--steps", "1", "--out", "run")
    assert ended.code == 0, ended.err
    assert "warning: 2 pairs with an empty side passed over, the first at train.en, line 5" in ended.err


# What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "no sentence pairs to train on"),
        ("train.de", "0 tabs"),
        ("train.de train.en train.tsv", "not 3"),
        ("train.de nothing.en", "nothing.en: no such file"),
        ("train.de short.en", "train.de has 120 lines, but short.en has 1"),
        ("- train.en", "standard input has 0 lines, but train.en has 120"),
        ("- -", "standard input can be one side only"),
        ("train.de train.en --source-key de", "source-key and target-key name columns of a table"),
        ("train.de train.en --valid train.de short.en", "train.de has 120 lines, but short.en has 1"),
        ("train.de train.en --valid train.de train.en --valid train.tsv", "not 3"),
        ("train.de train.en --attention psychic", "--attention"),
        ("train.de train.en --cell window", "--cell"),
        ("train.de train.en --hidden-size 7", "must be even"),
        ("train.de train.en --label-smoothing 1", "label-smoothing is 1.0"),
        ("train.de train.en --max-tokens 0", "max-tokens"),
        ("train.de train.en --steps 3 --minutes 2", "one of steps, epochs and minutes"),
        ("--resume", "needs --out"),
        ("train.de train.en --resume", "there is no run to resume"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_leaves_nothing(line: str, said: str, pairs: Path, call: Call) -> None:
    Path("short.en").write_text("one\n")
    before = sorted(str(path) for path in pairs.rglob("*"))
    ended = call("train-seq2seq", *line.split(), "--threads", "1")
    assert (ended.code, ended.out) == (2, b""), ended.err
    assert said in " ".join(ended.err.split())
    assert sorted(str(path) for path in pairs.rglob("*")) == before


def test_a_language_model_run_is_not_gone_on_with(tiny: TinyModel, pairs: Path, call: Call) -> None:
    ended = call("train-seq2seq", "--resume", "--out", tiny.name)
    assert ended.code == 2
    assert "does not hold the settings of seqgen train-seq2seq" in ended.error


def test_a_resumed_run_cannot_become_another_one(tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    ended = call("train-seq2seq", "--resume", "--out", tiny_translation.name, "--cell", "lstm")
    assert ended.code == 2
    assert "cannot change --cell from gru to lstm" in ended.error
