"""Runs of `train-lm` that take well under a second, and what must be equal between two of them."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqgen import modeldir
from seqgen.cli import display
from seqgen.cli.commands import train_lm
from seqgen.cli.terminal import Terminal
from seqgen.cli.training import Command
from seqgen.config import Cell, LanguageModelSettings, Precision, RecurrentConfig, RecurrentTextConfig, TrainConfig
from seqgen.metrics.measure import Measure
from seqgen.train.log import Listener, Record

WORDS = "the cat sat on a mat and the dog ran after it while nobody saw them".split()
CLOCKS = {"seconds", "units_per_second"}
STEPS = 26


def write_text(folder: Path, words: int = 520) -> Path:
    """A text with something to learn, the same each time."""
    draw = random.Random(0)
    path = folder / "text.txt"
    path.write_text(" ".join(draw.choice(WORDS) for _ in range(words)) + "\n", encoding="utf-8")
    return path


def settings_for(
    text: Path,
    *,
    cell: Cell = "gru",
    ema: float = 0.9,
    dropout: float = 0.3,
    precision: Precision = "fp32",
    **train: Any,
) -> LanguageModelSettings:
    """Two layers of eight, `STEPS` steps, a save every five and an evaluation every eight."""
    chosen: dict[str, Any] = {
        "steps": STEPS,
        "batch_size": 4,
        "warmup_steps": 3,
        "eval_every": 8,
        "save_every": 5,
        "log_every": 1,
        "threads": 1,
        "device": "cpu",
        **train,
    }
    return LanguageModelSettings(
        text=RecurrentTextConfig(paths=(str(text),), valid="0.35", bptt=16),
        network=RecurrentConfig(cell=cell, embed_size=4, hidden_size=8, num_layers=2, dropout=dropout),
        train=TrainConfig(ema=ema, precision=precision, **chosen),
    )


def quick_settings(text: Path, **train: Any) -> LanguageModelSettings:
    """One layer of four: for tests that start many runs."""
    settings = settings_for(text, **train)
    network = dataclasses.replace(settings.network, num_layers=1, hidden_size=4, dropout=0.0)
    return dataclasses.replace(settings, network=network)


@dataclass
class Run:
    """What a run said, and how to start it."""

    settings: Any
    directory: Path
    said: list[str] = field(default_factory=list)
    samples: dict[int, str] = field(default_factory=dict)
    command: Command[Any] = train_lm.COMMAND

    def go(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        resume: bool = False,
        overwrite: bool = False,
        listener: Listener | None = None,
    ) -> None:
        """One session, in this process; the same listeners as on a terminal, and one more."""

        @contextmanager
        def shown(terminal: Terminal, measures: Sequence[Measure]) -> Iterator[list[Listener]]:
            yield [_Ears(self), *([listener] if listener else [])]

        with monkeypatch.context() as patch:
            patch.setattr(display, "display", shown)
            self.command.train(
                self.settings,
                self.directory,
                _Mouth(self.said),
                resume=resume,
                overwrite=overwrite,
                tensorboard=False,
            )

    def resumed(self, monkeypatch: pytest.MonkeyPatch, listener: Listener | None = None) -> None:
        """A session that goes on, or begins where nothing was there to go on with."""
        self.go(monkeypatch, resume=(self.directory / "training.json").is_file(), listener=listener)

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n".join(self.said)


class _Mouth(Terminal):
    def __init__(self, said: list[str]) -> None:
        super().__init__(quiet=False, verbose=False)
        self._said = said

    def note(self, message: str) -> None:
        self._said.append(message)


class _Ears(Listener):
    def __init__(self, run: Run) -> None:
        self._run, self._step = run, -1

    def evaluated(self, record: Record, *, best: bool) -> None:
        self._step = int(record["step"])

    def sampled(self, text: str) -> None:
        self._run.samples[self._step] = text

    def noted(self, message: str) -> None:
        self._run.said.append(message)


class SignalAt(Listener):
    """Sends this process a signal right after a step, 0 for before the first."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT) -> None:
        self._step, self._number = step, number

    def started(self, step: int, total_steps: int | None) -> None:
        if step == self._step == 0:
            signal.raise_signal(self._number)

    def stepped(self, record: Record, total_steps: int | None) -> None:
        if record["step"] == self._step:
            signal.raise_signal(self._number)


# What must be equal -------------------------------------------------------------------------------------------


def checkpoint_paths(directory: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((directory / "checkpoints").glob("step-*"))


def records(directory: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what the clock decides."""
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCKS} for line in lines]


def assert_same_state(one: Path, other: Path) -> None:
    """Two checkpoints hold the same weights, optimizer, averages and carried state, bit for bit."""
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    tensors, others = load_file(one / "training.safetensors"), load_file(other / "training.safetensors")
    assert any(name.startswith("optimizer/") for name in tensors)
    assert tensors.keys() == others.keys()
    unequal = [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert unequal == []
    states = [json.loads((path / "state.json").read_bytes()) for path in (one, other)]
    for state in states:
        del (
            state["seconds"],
            state["log_size"],
            state["log_waiting"],
        )  # the length of a line depends on how its clock prints
    assert states[0] == states[1]


def assert_same_run(one: Path, other: Path) -> None:
    """Two finished runs are the same but for the clock."""
    ends = [checkpoint_paths(path)[-1] for path in (one, other)]
    assert ends[0].name == ends[1].name
    assert_same_state(*ends)
    assert records(one) == records(other)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    for path in (one, other):
        modeldir.verify(path)


def leftovers(directory: Path) -> list[str]:
    """Temporary files below a directory."""
    return [str(path.relative_to(directory)) for path in directory.rglob(".tmp-*")]


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def empty(path: Path) -> None:
    """Leave a file of no bytes."""
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "flipped": flip_a_byte,
    "emptied": empty,
    "missing": Path.unlink,
}


# Processes ----------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment of a test's process: one thread, no colours."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "dumb"}


def command(*words: str | Path) -> list[str]:
    """`seqgen train-lm` with the sizes of the settings above."""
    return [sys.executable, "-m", "seqgen", "train-lm", *map(str, words)]


def sizes(text: Path, out: Path, *, steps: int, save_every: int, eval_every: int, hidden: int = 8) -> list[str]:
    """The words of a fresh run of a tiny network."""
    words = [str(text), "--out", str(out), "--steps", str(steps), "--threads", "1", "--precision", "fp32"]
    words += ["--hidden-size", str(hidden), "--embed-size", "4", "--layers", "1", "--bptt", "16", "--valid", "0.3"]
    words += ["--batch-size", "4", "--warmup", "5", "--ema", "0.9", "--log-every", "1", "--device", "cpu"]
    return [*words, "--save-every", str(save_every), "--eval-every", str(eval_every)]


@contextmanager
def running(*words: str | Path, stderr: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A training process with both streams piped; it does not outlive the `with`."""
    with subprocess.Popen(
        command(*words),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment(),
        cwd=tempfile.gettempdir(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()
