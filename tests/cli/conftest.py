"""Two tiny models for the whole session, and seqgen called in this process, where torch is loaded already."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from running import TRAIN_PAIRS, Call, Ended, TinyModel, digit_pairs, seqgen, write_pairs

from seqgen.cli import main

TRAINING = (
    "train-lm data.txt --hidden-size 16 --embed-size 8 --batch-size 8 --bptt 16 --steps 30 --warmup 5 --threads 1"
    " --precision fp32 --seed 3 --out tiny"
)


def _words(count: int) -> list[str]:
    """Many different words, so that a sentencepiece vocabulary of the default size can be made from them."""
    draw = random.Random(1)
    return ["".join(draw.choice("aeiou") + draw.choice("bcdfghklmnprstvw") for _ in range(3)) for _ in range(count)]


def _text() -> str:
    words, draw = _words(600), random.Random(0)
    return "".join(" ".join(draw.choices(words, k=8)) + ".\n" for _ in range(600))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A character model trained for 30 steps by the real command."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "data.txt").write_text(_text())
    done = seqgen(*TRAINING.split(), cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return TinyModel(folder / "tiny", folder, folder / "data.txt")


@pytest.fixture(scope="session")
def tiny_translation(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A translation model trained by the real command; `data` is its test source, the references end in .en."""
    folder = tmp_path_factory.mktemp("tiny-translation")
    write_pairs(folder, "train", digit_pairs(300, seed=0))
    write_pairs(folder, "val", digit_pairs(20, seed=1))
    write_pairs(folder, "test", digit_pairs(12, seed=2))
    done = seqgen(*TRAIN_PAIRS.split(), cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return TinyModel(folder / "tiny", folder, folder / "test.de")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and no settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("SEQGEN_DEVICE", "SEQGEN_THREADS", "SEQGEN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Call]:
    """Run the console script's function here, ending and all; file descriptors 1 and 2 are captured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would only wait for each other on sizes as small as these

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["seqgen", *words])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ending:
            main()
        out, err = capfdbinary.readouterr()
        code = ending.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, out, err.decode())

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def piped(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """The same with bytes on standard input: `piped(b"...", "translate", ...)`."""

    def run(stdin: bytes, *words: str) -> Ended:
        path = tmp_path_factory.mktemp("piped") / "stdin"
        path.write_bytes(stdin)
        before = os.dup(0)
        with path.open("rb") as file, path.open() as text, pytest.MonkeyPatch.context() as patch:
            os.dup2(file.fileno(), 0)
            patch.setattr(sys, "stdin", text)
            try:
                return call(*words)
            finally:
                os.dup2(before, 0)
                os.close(before)

    return run
