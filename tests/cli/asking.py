"""What a training command would train when it is typed, without training."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer

from seqgen.cli import app
from seqgen.cli.commands import (
    gan_train,
    train_captioner,
    train_classifier,
    train_features,
    train_forecaster,
    train_lm,
    train_seq2seq,
    train_transformer,
)
from seqgen.cli.terminal import Terminal
from seqgen.cli.training import Command
from seqgen.config import Settings
from seqgen.train import launch

GROUP = typer.main.get_command(app)
COMMANDS: dict[str, list[Command[Any]]] = {
    "train-lm": [train_lm.COMMAND],
    "train-seq2seq": [train_seq2seq.COMMAND],
    "train-transformer": list(train_transformer.COMMANDS.values()),
    "train-classifier": [train_classifier.COMMAND],
    "train-captioner": [train_captioner.COMMAND],
    "train-forecaster": [train_forecaster.COMMAND],
    "train-features": [train_features.COMMAND],
    "gan-train": list(gan_train.COMMANDS.values()),
}


def parameters(command: str) -> list[str]:
    return [str(parameter.name) for parameter in GROUP.commands[command].params]  # type: ignore[attr-defined]


def asked(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """What a command would train, with which settings, where, and how."""
    found: list[Any] = []

    def train(command: Command[Any], settings: Settings, folder: Path, terminal: Terminal, **how: bool) -> None:
        found.extend((command, settings, folder, terminal.quiet, terminal.verbose, how))

    with monkeypatch.context() as patch:
        patch.setattr(Command, "train", train)
        patch.setattr(launch, "launch", lambda processes, words: found.append(processes))
        with suppress(SystemExit):  # of a command that others carry out
            GROUP.main(words, standalone_mode=False)
    return tuple(found)


def settled(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Command[Any], Settings]:
    command, settings, *_ = asked(words, monkeypatch)
    return command, settings
