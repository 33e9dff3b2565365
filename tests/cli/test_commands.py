"""The commands from end to end on a tiny model: what they print, what they leave, and that it can be repeated."""

from __future__ import annotations

import inspect
import json
import math
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_clips import drawn_clips, frames_of, save_clip
from pictures import write_pictures
from PIL import Image
from running import SMALL, SMALL_PAIRS, Call, TinyModel, seqgen, shell, snapshot, unfinished

from seqgen import modeldir
from seqgen.cli import app
from seqgen.modeldir import finding

EVALUATE_KEYS = ["loss", "bits_per_char", "perplexity", "tokens", "chars", "unknown"]
MODEL_KEYS = ["name", "path", "task", "architecture", "parameters", "bytes", "measures", "shipped", "finished", "step"]
SMALL_TRANSFORMER = "--embed-size 16 --heads 2 --layers 1 --ffn-size 16 --threads 1".split()
SHORTER = ["--steps", "3", "--hidden-size", "8", "--threads", "1"]


def _weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def _helps() -> dict[str, str]:
    """The help text of each command."""
    found = {}
    for registered in app.registered_commands:
        assert registered.callback is not None
        assert registered.name is not None
        found[registered.name] = inspect.getdoc(registered.callback) or ""
    return found


def _examples() -> Iterator[tuple[str, str]]:
    for name, text in _helps().items():
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                yield name, line


# Help ---------------------------------------------------------------------------------------------------------


def test_every_command_has_two_or_three_examples_in_its_help(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    examples = list(_examples())
    for name in _helps():
        own = [line for command, line in examples if command == name]
        assert 2 <= len(own) <= 3
        for option in ("-h", "--help"):
            ended = call(name, option)
            assert (ended.code, ended.err) == (0, "")
            shown = re.sub(r"\x1b\[[0-9;]*m", "", ended.text)
            assert all(line in shown for line in own)


def test_the_first_help_names_every_command(call: Call) -> None:
    for words in (["-h"], ["--help"]):
        ended = call(*words)
        assert (ended.code, ended.err) == (0, "")
        assert all(name in ended.text for name in _helps())


def test_version_is_one_line(call: Call) -> None:
    ended = call("--version")
    assert re.fullmatch(r"seqgen \d+\.\d+\.\d+\S*\n", ended.text)


def _needs_a_shell(line: str) -> bool:
    return any(sign in line for sign in "|<>")


def _takes_seconds(line: str) -> bool:
    return "train" in line or _needs_a_shell(line)


def write_labelled() -> None:
    """Labelled texts in the forms that the examples name, and a model that stands in for the shipped one."""
    Path("names").mkdir()
    for label, letters in (("Greek", "aeiou"), ("Irish", "bdfgk")):
        names = [f"{one}{two}{three}" for one in letters for two in "lmn" for three in "ost"]
        Path("names", f"{label}.txt").write_text("".join(f"{name}\n" for name in names))
    rows = [f"{word} is {'good' if i % 2 else 'bad'}\t{i % 2}\n" for i, word in enumerate(map(str, range(60)))]
    for name, part in (("train", rows[:40]), ("dev", rows[40:])):
        Path(f"{name}.tsv").write_text("".join(part))
        words = (f"{word}\t{len(word) % 2}\n" for row in part for word in [*row.split(), "\n"])
        Path(f"{name}.conll").write_text("".join(word if word.strip("\t01\n") else "\n" for word in words))
    Path("names.txt").write_text("Kostas\n\nNolan\n")
    ended = seqgen(
        "train-classifier", "names", "--steps", "2", "--hidden-size", "8", "--out", "models/surnames", cwd=Path.cwd()
    )
    assert ended.code == 0, ended.err


def write_series() -> None:
    """Series in the forms that the examples name, and a model that stands in for the shipped one."""
    months = [f"{1990 + i // 12}-{i % 12 + 1:02d}" for i in range(160)]
    for name, column in (("sales", "sold"), ("prices", "close")):
        rows = (f"{month},{20 + i % 12}\n" for i, month in enumerate(months))
        Path(f"{name}.csv").write_text(f"date,{column}\n" + "".join(rows))
    stocks = (f"{symbol},{month},{20 + i % 7}\n" for symbol in "AB" for i, month in enumerate(months))
    Path("stocks.csv").write_text("symbol,date,price\n" + "".join(stocks))
    for out in ("f", "models/sunspots"):
        ended = seqgen("train-forecaster", "sales.csv", "--steps", "2", "--out", out, cwd=Path.cwd())
        assert ended.code == 0, ended.err


def write_clips() -> None:
    """Clips in the forms that the examples name, and a model that stands in for the shipped one."""
    path = drawn_clips(Path("drawn"))
    entries = json.loads(path.read_text())
    for entry in entries:
        entry["file"] = f"drawn/{entry['file']}"
    Path("captions.json").write_text(json.dumps(entries))
    Path("clips.tsv").write_text("".join(f"{entry['file']}\t{entry['captions'][0]}\n" for entry in entries))
    Path("clips").mkdir()
    Path("frames").mkdir()
    save_clip(Path("clip.gif"), frames_of("red", "up"))
    save_clip(Path("clips/a.webp"), frames_of("blue", "left"))
    Image.fromarray(frames_of("green", "up")[0]).save("frames/1.png")
    words = "--steps 2 --hidden-size 8 --threads 1 --out models/drawn-clips".split()
    ended = seqgen("train-captioner", "captions.json", *words, cwd=Path.cwd())
    assert ended.code == 0, ended.err


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, tiny: TinyModel, tiny_translation: TinyModel) -> Path:
    """All that the examples name, made once; tiny models stand in for the shipped ones."""
    root = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("data.txt", "chapter.txt"):
            shutil.copy(tiny.data, name)
        for name in ("train.de", "train.en", "val.de", "val.en", "test.de", "test.en"):
            shutil.copy(tiny_translation.folder / name, name)
        shutil.copy("test.de", "in.de")
        sides = (Path(name).read_text().splitlines() for name in ("train.de", "train.en"))
        Path("pairs.csv").write_text(
            "de,en\n" + "".join(f"{source},{target}\n" for source, target in zip(*sides, strict=True))
        )
        write_labelled()
        write_series()
        write_clips()
        shutil.copytree(tiny.path, "models/shakespeare-lstm")
        shutil.copytree(tiny_translation.path, "models/multi30k-de-en")
        write_pictures()
        for words in ("photos --condition edges --out models/edges-emoji", "maps photos --out models/maps-pix2pix"):
            ended = seqgen("gan-train", "--arch", "pix2pix", *SHORT_GAN, *words.split(), cwd=Path.cwd())
            assert ended.code == 0, ended.err
    return root


SHORT_GAN = "--steps 2 --ngf 4 --ndf 4 --batch-size 8 --threads 1".split()


# Export needs packages that may be missing, and a Transformer: test_export.py runs it.
@pytest.mark.parametrize(
    "line",
    [pytest.param(x, marks=pytest.mark.slow) if _takes_seconds(x) else x for n, x in _examples() if n != "export"],
)
def test_an_example_of_the_help_runs(line: str, stage: Path, folder: Path, call: Call) -> None:
    """As it stands, but for shorter training."""
    shutil.copytree(stage, folder, dirs_exist_ok=True)
    kinds = {
        "train-lm": SHORTER,
        "train-seq2seq": [*SMALL_PAIRS, "--steps", "2"],
        "train-captioner": ["--steps", "2", "--hidden-size", "8", "--threads", "1"],
        "train-classifier": ["--steps", "2", "--hidden-size", "8", "--threads", "1"],
        "train-forecaster": ["--steps", "2", "--hidden-size", "8", "--threads", "1"],
        "train-features": ["--steps", "2", "--threads", "1"],
        "gan-train": SHORT_GAN,
        "train-transformer": [*SMALL_TRANSFORMER, "--steps", "2"],
    }
    shorter = next((words for name, words in kinds.items() if name in line), [])
    if "train-transformer train.de" in line:  # a text has as many characters as it has
        shorter = [*shorter, "--vocab-size", "300"]
    shortened = re.sub(r" --minutes \S+", "", line) + (" " + shlex.join(shorter) if shorter else "")
    ended = (
        shell(f"set -o pipefail\n{shortened}", cwd=folder)
        if _needs_a_shell(line)
        else call(*shlex.split(shortened)[1:])
    )
    assert ended.code in ((0, 141) if "| head" in line else (0,)), ended.err
    assert bool(ended.out) == (not shorter and not any(word in line for word in (">", "--png", "--out")))


# train-lm -----------------------------------------------------------------------------------------------------


def test_a_finished_run_is_a_model_directory(tiny: TinyModel) -> None:
    files = {path.name for path in tiny.path.iterdir() if path.is_file()}
    listed = set(json.loads((tiny.path / "MANIFEST.json").read_bytes())["files"])
    assert listed == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "training.json",
        "metrics.jsonl",
        "README.md",
    }
    assert listed | {"MANIFEST.json"} == files
    modeldir.verify(tiny.path)


def test_training_json_replays_the_run_bit_for_bit(
    tiny: TinyModel, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    ended = call("train-lm", "--config", "tiny/training.json", "--out", str(tmp_path / "again"))
    assert ended.code == 0, ended.err
    assert _weights(tmp_path / "again") == _weights(tiny.path)


def test_the_command_of_the_card_replays_the_run_bit_for_bit(
    tiny: TinyModel, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (tiny.path / "README.md").read_text()
    (line,) = re.findall(r"^seqgen train-lm .*$", card, re.MULTILINE)
    words = shlex.split(line)
    assert words[-2:] == ["--out", "tiny"]
    monkeypatch.chdir(tiny.folder)
    ended = call(*words[1:-2], "--out", str(tmp_path / "again"))
    assert ended.code == 0, ended.err
    assert _weights(tmp_path / "again") == _weights(tiny.path)


def test_an_option_wins_over_the_file_that_is_replayed(
    tiny: TinyModel, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    out = tmp_path / "other"
    assert (
        call("train-lm", "--config", "tiny/training.json", "--epochs", "0.02", "-o", str(out), "--cell=gru").code == 0
    )
    settings = json.loads((out / "training.json").read_bytes())["settings"]
    assert settings["network"]["cell"] == "gru"
    assert (settings["train"]["steps"], settings["train"]["epochs"]) == (None, 0.02)
    assert settings["train"]["seed"] == 3


def test_a_replay_needs_no_more_than_the_file(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    ended = call("train-lm", "--config", str(tiny.path / "training.json"), "--steps", "1")
    assert ended.code == 0, ended.err
    assert Path("models/data-lstm/MANIFEST.json").is_file()


def test_a_run_that_watches_its_gradient_logs_it_and_warns(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = [
        "train-lm",
        str(tiny.data),
        "--cell",
        "rnn",
        *SMALL,
        "--steps",
        "6",
        "--watch-gradients",
        "3",
        "--out",
        "r",
    ]
    ended = call(*words)
    assert ended.code == 0
    lines = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    watched = [line for line in lines if "gradient_flow" in line]
    assert [(line["step"], line["gradient_flow"]) for line in watched] == [(3, "vanishing"), (6, "vanishing")]
    assert all(line["gradient_rate_1"] < -1 / 3 for line in watched)
    warnings = [line for line in ended.err.splitlines() if line.startswith("warning: step")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: step 3: the gradient through time is vanishing: half-life of ")


def test_a_run_without_a_name_goes_to_models(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    assert call("train-lm", "data.txt", "--cell", "gru", *SMALL, "--steps", "1").code == 0
    assert Path("models/data-gru/MANIFEST.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        "--cell peephole --peephole full --variational",
        "--cell gru-before --connections dense --weight-drop 0.3",
        "--cell window --window 5 --connections residual --layer-norm",
        "--cell rnn --init-scale 0.5 --decay-recurrent --weight-decay 0.1",
        "--tokens word --vocab-size 40 --tied --embed-dropout 0.2",
    ],
)
def test_each_cell_is_trained_written_with_and_judged(options: str, tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    assert call("train-lm", "data.txt", *SMALL, "--steps", "3", "--layers", "2", *options.split(), "-o", "m").code == 0
    measured = json.loads(call("evaluate", "-m", "m", "data.txt", "--json").out)
    assert 1.0 < measured["loss"] < 6.0
    written = call("sample", "-m", "m", "--length", "30", "--seed", "1").out
    assert written == call("sample", "-m", "m", "--length", "30", "--seed", "1").out
    assert len(written) >= 30
    card = Path("m/README.md").read_text()
    assert options.split()[-1] in card


def test_the_card_says_how_good_the_model_is_and_evaluate_agrees(tiny: TinyModel, folder: Path, call: Call) -> None:
    card = (tiny.path / "README.md").read_text()
    row = next(line for line in card.splitlines() if re.match(r"\| \d", line))
    nats, bits, perplexity, *_ = (cell.strip() for cell in row.strip("|").split("|"))
    ended = call("evaluate", str(tiny.data), "-m", tiny.name, "--tail", "0.1", "--threads", "1")
    assert f"loss           {nats} nats per token\n" in ended.text
    assert f"bits per char  {bits}\n" in ended.text
    shown = re.search(r"perplexity +(\S+) per token", ended.text)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(float(perplexity), abs=1e-3)


# evaluate -----------------------------------------------------------------------------------------------------


def test_evaluate_counts_and_judges_every_token_but_the_first(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("evaluate", str(tiny.data), "-m", tiny.name, "--json")
    assert (ended.code, ended.err) == (0, "")
    measures = json.loads(ended.out)
    assert list(measures) == ["model", "data", *EVALUATE_KEYS]
    assert measures["tokens"] == measures["chars"] == len(tiny.data.read_text()) - 1
    assert measures["perplexity"] == pytest.approx(math.exp(measures["loss"]))
    assert measures["bits_per_char"] == pytest.approx(measures["loss"] / math.log(2))
    assert 0 < measures["loss"] < math.log(25)


def test_a_folder_is_judged_like_its_files_one_after_the_other(tiny: TinyModel, folder: Path, call: Call) -> None:
    text = tiny.data.read_text()
    Path("book/part").mkdir(parents=True)
    middle = text.index("\n", 5000)  # with or without its line feed, a file's end ends a line
    Path("book/1.txt").write_text(text[:middle])
    Path("book/part/2.txt").write_text(text[middle + 1 :])
    Path("book/.notes").write_text("hidden")
    whole = _judged(call, str(tiny.data), "-m", tiny.name)
    assert _judged(call, "book", "-m", tiny.name) == whole
    assert _judged(call, "book/1.txt", "book/part", "-m", tiny.name) == whole


def test_the_tail_is_the_last_part(tiny: TinyModel, folder: Path, call: Call) -> None:
    text = tiny.data.read_text()
    Path("tail.txt").write_text(text[int(len(text) * (1 - 0.25)) :])
    tail = _judged(call, str(tiny.data), "-m", tiny.name, "--tail", "0.25")
    assert tail == _judged(call, "tail.txt", "-m", tiny.name)


def test_dynamic_evaluation_is_better_where_the_text_repeats_itself(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["evaluate", str(tiny.data), "-m", tiny.name, "--tail", "0.5", "--json"]
    still, dynamic = json.loads(call(*words).out), json.loads(call(*words, "--dynamic", "0.1").out)
    assert list(dynamic) == ["model", "data", *EVALUATE_KEYS]
    assert dynamic["tokens"] == still["tokens"]
    assert dynamic["loss"] < still["loss"]


def _judged(call: Call, *words: str) -> dict[str, Any]:
    """The measures of a language model, without what they are of."""
    measures: dict[str, Any] = json.loads(call("evaluate", *words, "--json").out)
    return {name: value for name, value in measures.items() if name not in ("model", "data")}


def test_a_result_names_the_model_and_the_data(tiny: TinyModel, folder: Path, call: Call) -> None:
    Path("a b.txt").write_text(tiny.data.read_text()[:500])
    shutil.copytree(tiny.path, "mine")
    shown = call("evaluate", "a b.txt", "-m", "mine").text.splitlines()
    assert shown[:2] == ["model          mine", "data           a b.txt"]
    told = json.loads(call("evaluate", "a b.txt", "-m", "mine", "--json").out)
    assert list(told)[:2] == ["model", "data"]
    assert (told["model"], told["data"]) == ("mine", ["a b.txt"])


def test_the_shipped_model_is_not_taken_for_ones_own(tiny: TinyModel, folder: Path, call: Call) -> None:
    Path("text.txt").write_text("To be, or not to be.\n" * 20)
    assert call("evaluate", "text.txt").text.startswith("model          shakespeare-lstm (shipped)\n")
    assert call("sample", "--seed", "1", "--length", "1").err == ""
    shutil.copytree(tiny.path, "mine")
    assert (
        call("sample", "--seed", "1", "--length", "1").err
        == "the shipped shakespeare-lstm answers; of your own: -m mine\n"
    )
    assert call("sample", "--seed", "1", "--length", "1", "-m", "shakespeare-lstm").err == ""
    assert call("sample", "--seed", "1", "--length", "1", "-q").err == ""


def test_aligned_files_are_no_text_for_a_language_model(folder: Path, call: Call) -> None:
    Path("t.de").write_text("Ein Hund.\nJa.\n")
    Path("t.en").write_text("A dog.\nYes.\n")
    for words in (["evaluate"], ["train-lm", "--steps", "1"]):
        ended = call(*words, "t.de", "t.en")
        assert (ended.code, ended.out) == (2, b"")
        assert ended.error == "t.de and t.en look like sentence pairs, but a language model reads one text"
        assert "cat t.de t.en" in ended.hint
    ended = call("evaluate", "-m", "multi30k-de-en", "t.de")
    assert ended.error.startswith("t.de, line 1: 0 tabs")
    assert "running text is for language models" in ended.hint


def test_evaluate_leaves_nothing_behind(tiny: TinyModel, folder: Path, call: Call) -> None:
    before = snapshot(tiny.folder)
    call("evaluate", str(tiny.data), "-m", tiny.name)
    assert snapshot(tiny.folder) == before
    assert list(folder.iterdir()) == []


# sample -------------------------------------------------------------------------------------------------------


def test_several_texts_stand_between_lines_of_dashes(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["sample", "-m", tiny.name, "-n", "3", "--length", "40", "-p", "the ", "--seed", "5"]
    told = [json.loads(line) for line in call(*words, "--json").text.splitlines()]
    texts = ["the " + one["text"] for one in told]
    assert call(*words).text == "---\n".join(text if text.endswith("\n") else text + "\n" for text in texts)
    assert len(set(texts)) == 3


def test_a_text_ends_before_the_stop_string(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["sample", "-m", tiny.name, "-p", "", "--length", "2000", "--seed", "2"]
    whole = call(*words).text
    ended = json.loads(call(*words, "--stop", "e", "--json").out)
    assert ended["text"] == whole.split("e", 1)[0]
    assert (ended["stopped_by"], ended["tokens"]) == ("stop", len(ended["text"]) + 1)


def test_greedy_text_needs_no_seed(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["sample", "-m", tiny.name, "-p", "a", "--length", "30"]
    one, two, three = call(*words, "--greedy"), call(*words, "--greedy"), call(*words, "-t", "0")
    assert one.out == two.out == three.out
    assert one.err == ""


def test_no_length_is_the_prompt_alone(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["sample", "-m", tiny.name, "--seed", "1", "--length", "0"]
    assert call(*words, "-p", "a b").out == b"a b\n"
    assert call(*words, "-p", "a b\n").out == b"a b\n"


def test_a_character_the_model_has_never_seen_is_told(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("sample", "-m", tiny.name, "--seed", "1", "--length", "5", "-p", "\N{SNOWMAN}a")
    assert ended.code == 0
    assert ended.err == "warning: the model has never seen '\N{SNOWMAN}'\n"
    assert ended.text.startswith("\N{SNOWMAN}a")


def test_an_unfinished_run_answers_with_its_newest_checkpoint(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copytree(tiny.path, "run")
    Path("run/MANIFEST.json").unlink()
    words = ["sample", "-p", "", "--seed", "1"]
    assert call(*words, "-m", "run").out == call(*words, "-m", tiny.name).out


# models -------------------------------------------------------------------------------------------------------


def _listed(call: Call, name: str) -> dict[str, object]:
    rows: list[dict[str, object]] = [json.loads(line) for line in call("models", "--json").text.splitlines()]
    (row,) = [row for row in rows if row["name"] == name]
    return row


def test_models_lists_what_is_below_the_current_directory(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copytree(tiny.path, "models/parrot")
    Path("models/notes").mkdir()
    row = _listed(call, "parrot")
    assert list(row) == MODEL_KEYS
    assert (row["task"], row["architecture"], row["shipped"]) == ("language-model", "recurrent", False)
    measures = row["measures"]
    assert isinstance(measures, dict)
    assert set(measures) == {"valid_loss", "valid_bits_per_char", "valid_perplexity"}
    card = Path("models/parrot/README.md").read_text()
    assert f"{row['parameters']:,} parameters" in card
    assert f"| {measures['valid_loss']:.4f} |" in card
    (line,) = [line for line in call("models").text.splitlines() if line.startswith("parrot ")]
    assert f"{row['parameters']:,}" in line
    assert "notes" not in call("models").text


def test_models_prints_a_card_byte_for_byte(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copytree(tiny.path, "models/parrot")
    card = (tiny.path / "README.md").read_bytes()
    assert call("models", "parrot").out == card
    assert call("models", tiny.name).out == card


def test_models_lists_a_damaged_directory_too(tiny: TinyModel, folder: Path, call: Call) -> None:
    for name in ("config", "metrics", "binary"):
        shutil.copytree(tiny.path, f"models/{name}")
    Path("models/config/config.json").write_text("{")
    Path("models/metrics/metrics.jsonl").write_text('3\n"valid_loss"\n{"valid_loss": "low"}\n{"valid_loss": 2.5}\n')
    Path("models/binary/metrics.jsonl").write_bytes(b"\xff\xfe\n")
    assert _listed(call, "config")["task"] == "damaged"
    assert _listed(call, "metrics")["parameters"]
    assert call("models").code == 0


def test_models_says_so_when_there_are_none(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "shipped_directory", lambda: None)
    ended = call("models")
    assert (ended.code, ended.out) == (0, b"")
    assert ended.err == "no models here; train one, a text for example: seqgen train-lm FILE\n"


def test_models_lists_a_run_that_is_not_finished(tiny: TinyModel, folder: Path, call: Call) -> None:
    """As it is after Ctrl-C: no manifest, no weights but those of its checkpoints."""
    unfinished(tiny, Path("models/begun"))
    row = _listed(call, "begun")
    assert (row["finished"], row["step"], row["task"]) == (False, 30, "language-model")
    assert row["parameters"] == _listed_parameters(tiny)
    (line,) = [line for line in call("models").text.splitlines() if line.startswith("begun ")]
    assert line.endswith("(models/begun, not finished: step 30 is saved)")
    shutil.rmtree("models/begun/checkpoints")
    row = _listed(call, "begun")
    assert (row["finished"], row["step"], row["task"], row["parameters"]) == (False, None, "train-lm", 0)
    ended = call("models", "begun")
    assert ended.code == 2
    assert ended.hint == "go on with its training: seqgen train-lm --resume --out models/begun"


def _listed_parameters(model: TinyModel) -> int:
    return modeldir.count_parameters(model.path / "model.safetensors")


def test_the_shipped_model_answers_without_being_named(folder: Path, call: Call) -> None:
    shipped = modeldir.shipped_directory()
    if shipped is None or not (shipped / "shakespeare-lstm").is_dir():
        pytest.skip("the shipped model is not in this checkout")
    ended = call("sample", "-p", "ROMEO:", "--length", "50", "--seed", "1")
    assert ended.code == 0
    assert ended.text.startswith("ROMEO:")
    assert _listed(call, "shakespeare-lstm")["shipped"] is True
