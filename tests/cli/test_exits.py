"""How commands end when something is not as it should be: which code, which sentence, and what stays on the disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from running import SMALL, Call, TinyModel, command, environment, seqgen, shell, snapshot
from tolerances import rounding

TRAIN = ["train-lm", "data.txt", "--out", "run", *SMALL]


@pytest.fixture
def texts(folder: Path, tiny: TinyModel) -> Path:
    """Good and bad input in the current directory."""
    shutil.copy(tiny.data, "data.txt")
    Path("binary.dat").write_bytes(b"\x89PNG\r\n\x00\x00\x00")
    Path("latin.txt").write_bytes("first\nsecond\ncafé\n".encode("latin-1"))
    Path("empty.txt").touch()
    Path("short.txt").write_text("to be or")
    Path("nothing").mkdir()
    for name, source in (("pictures", ["binary.dat"]), ("mixed", ["data.txt", "latin.txt"])):
        Path(name).mkdir()
        for file in source:
            shutil.copy(file, name)
    return folder


@pytest.fixture
def run(texts: Path, tiny: TinyModel) -> Path:
    """A finished run in the current directory, as `run`."""
    shutil.copytree(tiny.path, texts / "run")
    return texts / "run"


# Usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("smaple", "No such command 'smaple'. Did you mean 'sample'?"),
        ("--colour", "No such option: --colour"),
        ("sample --lenght 3", "--length"),
        ("sample --length", "requires an argument"),
        ("sample too many", "unexpected extra argument"),
        ("evaluate", "Missing argument"),
        ("sample -q -v", "--quiet and --verbose exclude each other"),
        ("sample --greedy --temperature 0.5", "--temperature has no effect with --greedy"),
        ("train-lm --resume", "--resume without data needs --out"),
        ("train-lm data.txt --resume --config x.json", "--resume and --config exclude each other"),
        ("train-lm data.txt --resume --overwrite --out run", "--resume and --overwrite exclude each other"),
        ("train-lm data.txt --steps 3 --minutes 2", "one of steps, epochs and minutes bounds a run"),
        ("train-lm data.txt --steps 3 --epochs 2", "one of steps, epochs and minutes bounds a run"),
    ],
)
def test_what_cannot_be_followed_is_a_usage_error(line: str, said: str, folder: Path, call: Call) -> None:
    ended = call(*line.split())
    assert (ended.code, ended.out) == (2, b"")
    assert said in " ".join(ended.err.split())
    assert list(folder.iterdir()) == []


def test_no_text_is_a_usage_error_with_a_hint(folder: Path, call: Call) -> None:
    ended = call("train-lm")
    assert (ended.code, ended.error) == (2, "no text to train on")
    assert "seqgen train-lm FILE" in ended.hint


@pytest.mark.parametrize(
    "option",
    """--steps=-1 --steps=ten --epochs=-1 --minutes=nan --minutes=inf --epochs=inf --lr=nan --lr=-1 --lr=fast
    --hidden-size=0 --hidden-size=100000000 --embed-size=-3 --layers=0 --layers=1.5 --dropout=1 --dropout=nan --bptt=0
    --batch-size=0 --grad-accumulation=0 --grad-accumulation=33 --seed=-1 --clip=-1 --clip=nan --ema=1 --ema=nan
    --warmup=-1 --weight-decay=-1 --eval-every=0 --save-every=0 --log-every=0 --patience=-1 --threads=-1 --valid=1
    --valid=-0.5 --valid=nan --vocab-size=-1 --cell=lstmx --tokens=verse --schedule=step --precision=fp16 --device=gpu
    --device=cuda:99""".split(),
)
def test_train_lm_refuses_a_wrong_value(option: str, texts: Path, call: Call) -> None:
    ended = call(*TRAIN, option)
    assert (ended.code, ended.out) == (2, b""), ended.err
    assert "unexpected" not in ended.err
    assert option.split("=")[0].lstrip("-") in ended.err
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "line",
    [
        *(
            "sample --length=-1",
            "sample --length=some",
            "sample -n 0",
            "sample -t -1",
            "sample -t nan",
            "sample --top-k=-1",
        ),
        *("sample --top-p 2", "sample --top-p nan", "sample --threads=-1", "sample --device=gpu", "sample --seed=x"),
        *("evaluate data.txt --tail=2", "evaluate data.txt --tail=nan", "evaluate data.txt --tail=0"),
        "evaluate data.txt --threads=-1",
    ],
)
def test_sample_and_evaluate_refuse_a_wrong_value(line: str, texts: Path, tiny: TinyModel, call: Call) -> None:
    ended = call(*line.split(), "-m", tiny.name)
    assert (ended.code, ended.out) == (2, b""), ended.err


def test_a_device_that_is_not_there_is_never_replaced_silently(texts: Path, tiny: TinyModel, call: Call) -> None:
    ended = call("sample", "-m", tiny.name, "--device", "cuda:99")
    assert ended.code == 2
    assert "not in this machine" in ended.error
    assert "--device auto" in ended.hint


# Text ---------------------------------------------------------------------------------------------------------

UNUSABLE = [
    ("missing.txt", "missing.txt: no such file or folder"),
    ("nothing", "nothing: no UTF-8 text in this folder (0 files examined)"),
    ("pictures", "pictures looks like images, not text"),
    ("binary.dat", "binary.dat looks like images, not text"),
    ("latin.txt", "latin.txt, line 3: not UTF-8 (byte 0xe9)"),
    ("empty.txt", "empty.txt: 0 tokens"),
]


@pytest.mark.parametrize(("path", "said"), UNUSABLE)
def test_train_lm_names_unusable_text_and_leaves_nothing_behind(path: str, said: str, texts: Path, call: Call) -> None:
    before = snapshot(texts)
    ended = call("train-lm", path, "--out", "run", *SMALL)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error.startswith(said)
    assert snapshot(texts) == before
    assert not Path("run").exists()


@pytest.mark.parametrize(("path", "said"), UNUSABLE)
def test_evaluate_names_unusable_text(path: str, said: str, texts: Path, tiny: TinyModel, call: Call) -> None:
    ended = call("evaluate", path, "-m", tiny.name)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error.startswith(said)


def test_a_nul_character_is_binary_data(texts: Path, call: Call) -> None:
    Path("nul.txt").write_bytes(b"a\nb\0c\n")
    ended = call("train-lm", "nul.txt", "--out", "run")
    assert (ended.code, ended.error) == (2, "nul.txt, line 2: a NUL character; this is binary data, not text")


@pytest.mark.slow
def test_a_file_name_that_is_not_utf8_is_no_surprise(folder: Path, tiny: TinyModel) -> None:
    shutil.copy(tiny.data, os.fsdecode(b"caf\xe9.txt"))
    words = ["seqgen", "train-lm", "$'caf\\xe9.txt'", "--out", "run", *SMALL, "--steps", "2"]
    ended = shell(" ".join(words), cwd=folder)
    assert "unexpected" not in ended.err
    assert ended.code == 0 or not Path("run").exists()


def test_text_shorter_than_a_chunk_trains_with_a_warning(texts: Path, call: Call) -> None:
    ended = call("train-lm", "short.txt", "--out", "run", *SMALL, "--steps", "2")
    assert ended.code == 0
    assert ended.err.count("warning: the text has 7 tokens, fewer than one chunk of 16") == 1
    assert (Path("run") / "MANIFEST.json").is_file()


def test_what_is_no_text_in_a_folder_is_passed_over_with_a_warning(texts: Path, call: Call) -> None:
    ended = call("train-lm", "mixed", "--out", "run", *SMALL, "--steps", "1")
    assert ended.code == 0
    assert "warning: mixed: 1 file passed over, not being text: mixed/latin.txt first" in ended.err


def test_more_parts_than_lanes_are_as_many_as_there_are(texts: Path, call: Call) -> None:
    ended = call(
        "train-lm", "short.txt", "--out", "run", *SMALL, "--log-every", "1", "--grad-accumulation", "3", "--steps", "1"
    )
    assert ended.code == 0
    whole = call("train-lm", "short.txt", "--out", "whole", *SMALL, "--log-every", "1", "--steps", "1")
    assert whole.code == 0
    # Losses, not weights: Adam's first step divides a gradient by its own size, also one that is nothing but rounding.
    one, other = (json.loads((texts / name / "metrics.jsonl").read_text().splitlines()[0]) for name in ("run", "whole"))
    assert one["loss"] == pytest.approx(other["loss"], abs=rounding(1000))


# Directories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["data.txt", "data.txt/run", "/proc/no/run"])
def test_an_output_folder_that_cannot_be_made_is_named(out: str, texts: Path, call: Call) -> None:
    ended = call("train-lm", "data.txt", "--out", out, *SMALL, "--steps", "1")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.error.startswith(f"{out} cannot be written: ")
    assert ended.hint == "choose another --out"


def test_an_existing_run_is_not_touched_without_being_told(run: Path, call: Call) -> None:
    before = snapshot(run)
    ended = call(*TRAIN, "--steps", "1")
    assert ended.code == 2
    assert ended.error == "run holds a run already"
    assert ended.hint == "--resume goes on with it, --overwrite replaces it"
    assert snapshot(run) == before


def test_overwrite_replaces_the_run_and_nothing_else(run: Path, call: Call) -> None:
    (run / "mine.txt").write_text("keep me")
    ended = call(*TRAIN, "--steps", "1", "--overwrite")
    assert ended.code == 0
    assert json.loads((run / "config.json").read_bytes())["network"]["hidden_size"] == 8
    assert (run / "mine.txt").read_text() == "keep me"


def test_overwrite_with_unusable_text_keeps_the_old_run(run: Path, call: Call) -> None:
    before = snapshot(run)
    ended = call("train-lm", "missing.txt", "--out", "run", "--overwrite", *SMALL)
    assert ended.code == 2
    assert "no such file" in ended.error
    assert snapshot(run) == before


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
@pytest.mark.parametrize("name", ["thesis.tex", "training.json"])
def test_a_folder_with_other_files_is_refused_and_not_touched(
    name: str, option: list[str], texts: Path, call: Call
) -> None:
    foreign = texts / "run"
    (foreign / "data").mkdir(parents=True)
    for file in (name, "README.md", "data/measured.csv"):
        (foreign / file).write_text('{"epochs": 3}')
    before = snapshot(foreign)
    ended = call(*TRAIN, "--steps", "1", *option)
    assert (ended.code, ended.out) == (2, b"")
    assert snapshot(foreign) == before


def test_resume_needs_a_run(texts: Path, call: Call) -> None:
    ended = call(*TRAIN, "--resume")
    assert (ended.code, ended.error) == (2, "run: there is no run to resume")
    assert not Path("run").exists()


@pytest.mark.parametrize("change", ["--hidden-size=8", "--cell=gru", "--seed=1", "--bptt=32", "--valid=0.2"])
def test_resume_cannot_change_what_the_run_is(change: str, run: Path, call: Call) -> None:
    before = snapshot(run)
    ended = call("train-lm", "--resume", "--out", "run", change)
    assert ended.code == 2
    assert f"a resumed run cannot change {change.split('=')[0]} from " in ended.error
    assert snapshot(run) == before


def test_resume_with_more_steps_goes_on(run: Path, call: Call) -> None:
    ended = call("train-lm", "--resume", "--out", "run", "--steps", "33", "--log-every", "1")
    assert (ended.code, ended.out) == (0, b"")
    assert "going on with steps 33 (was 30)" in ended.err
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == [10, 20, 30, 31, 32, 33]


def test_settings_files_that_are_none_are_named(run: Path, call: Call) -> None:
    settings = json.loads((run / "training.json").read_bytes())
    settings["settings"]["network"]["hiden_size"] = 3
    Path("typo.json").write_text(json.dumps(settings))
    Path("text.json").write_text("to be")
    Path("other.json").write_text("{}")
    for name, said in {
        "missing.json": "missing.json",
        "text.json": "text.json is not JSON",
        "other.json": "other.json does not hold the settings of seqgen train-lm",
        "typo.json": "typo.json.network has an unknown field 'hiden_size'",
    }.items():
        ended = call("train-lm", "--config", name, "--out", "new")
        assert (ended.code, ended.out) == (2, b"")
        assert ended.error.startswith(said)
    assert not Path("new").exists()


# Models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["sample", "evaluate data.txt"])
def test_an_unknown_model_brings_the_list_of_known_ones(words: str, texts: Path, tiny: TinyModel, call: Call) -> None:
    shutil.copytree(tiny.path, "models/parrot")
    ended = call(*words.split(), "-m", "no-such-model")
    assert (ended.code, ended.out, ended.error) == (2, b"", "no model 'no-such-model' here")
    assert ended.hint.startswith("known models: parrot")


def test_the_card_of_an_unknown_model(folder: Path, call: Call) -> None:
    assert call("models", "no-such-model").code == 2


def test_what_is_no_model_is_refused(run: Path, call: Call) -> None:
    assert "is a file, not a model directory" in call("sample", "-m", "data.txt").error
    assert "holds no whole model" in call("sample", "-m", "pictures").error
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    ended = call("sample", "-m", "run")
    assert ended.code == 2
    assert "model.safetensors is damaged" in ended.error


# Signals and debugging ----------------------------------------------------------------------------------------


def _interrupt_once_it_writes(process: subprocess.Popen[bytes], number: signal.Signals) -> tuple[int, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(100)
    process.send_signal(number)
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(60), said


def _endless(tiny: TinyModel) -> list[str]:
    return command("sample", "-m", tiny.name, "--length", "100000000", "--seed", "1")


def test_ctrl_c_while_sampling_ends_at_once_with_130(tiny: TinyModel, folder: Path) -> None:
    process = subprocess.Popen(
        _endless(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment()
    )
    code, said = _interrupt_once_it_writes(process, signal.SIGINT)
    assert (code, said) == (130, "")


@pytest.mark.slow
def test_term_while_sampling_ends_as_a_shell_expects(tiny: TinyModel, folder: Path) -> None:
    process = subprocess.Popen(
        _endless(tiny), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment()
    )
    code, said = _interrupt_once_it_writes(process, signal.SIGTERM)
    assert code in (143, -signal.SIGTERM)
    assert said == ""


@pytest.mark.slow
def test_kill_int_ends_a_background_job_of_a_script(tiny: TinyModel, folder: Path) -> None:
    words = f'"$PYTHON" -m seqgen sample -m {tiny.name} --length 100000000 --seed 1 > text'
    patience = "for i in $(seq 100); do kill -0 $job || break; sleep 0.2; done; kill -KILL $job"
    line = f"{words} & job=$!; until [ -s text ]; do sleep 0.1; done; kill -INT $job; {patience}; wait $job"
    ended = shell(f"({line}) 2> killed; code=$?; exit $code", cwd=folder)
    assert ended.code == 130


def test_seqgen_debug_shows_where(folder: Path) -> None:
    words = command("sample", "--greedy", "--top-k", "3")
    debug = subprocess.run(words, capture_output=True, text=True, env=environment(SEQGEN_DEBUG="1"), timeout=60)
    assert debug.returncode != 0
    assert "Traceback" in debug.stderr
    assert "sample.py" in debug.stderr
    ended = seqgen("sample", "--greedy", "--top-k", "3", cwd=folder)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error == "--top-k has no effect with --greedy"
