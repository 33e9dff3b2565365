"""From options to settings and back."""

from __future__ import annotations

import dataclasses
import random
import shlex
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from asking import COMMANDS, settled

from seqgen.cli.training import Command
from seqgen.config import Settings, TransformerPairsSettings, TranslationSettings, UnpairedSettings, replace
from seqgen.errors import ConfigError

PAIRS = (TranslationSettings, TransformerPairsSettings)
WORDS = ["0.25", "8x9", "a file", "-odd", "pixels"]
NUMBERS: list[Any] = [0, 1, 2, 3, 8, 10, 64, 1000, 2**40]
FRACTIONS = [0.0, 1e-7, 0.1, 1 / 3, 0.999, 1.0, 2.5, 1e5, float("inf")]


def some_value(kind: Any, draw: random.Random) -> Any:
    """A value of a type, within the range of its field or not."""
    if typing.get_origin(kind) is typing.Literal:
        return draw.choice(typing.get_args(kind))
    if typing.get_origin(kind) is types.UnionType:
        return some_value(typing.get_args(kind)[0], draw)
    if typing.get_origin(kind) is tuple:
        return tuple(draw.sample(["valid.a", "valid b"], draw.randint(1, 2)))
    return draw.choice({bool: [False, True], int: NUMBERS, float: FRACTIONS, str: WORDS}[kind])


def some_settings(defaults: Settings, paths: tuple[str, ...], draw: random.Random) -> Settings:
    """Settings with half of their fields changed to anything that they take."""
    settings = replace(defaults, {"paths": paths})
    for part in dataclasses.fields(defaults):  # type: ignore[arg-type]
        old = getattr(defaults, part.name)
        kinds = typing.get_type_hints(type(old))
        for name in old.options():
            kind = kinds[name]
            if draw.random() < 0.5:
                continue
            try:
                settings = replace(settings, {name: some_value(kind, draw)})
            except ConfigError:
                continue
    return settings


def in_effect(settings: Settings) -> dict[str, Any]:
    """The fields that count."""
    parts = dataclasses.asdict(settings).values()  # type: ignore[call-overload]
    return {name: value for part in parts for name, value in part.items() if name not in settings.idle}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(
    "command", [c for commands in COMMANDS.values() for c in commands], ids=lambda c: type(c.defaults).__name__
)
def test_the_command_of_a_card_gives_the_same_settings(
    command: Command[Any], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-text.txt").write_text("some text\n")
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    (tmp_path / "valid.a").write_text("")
    paths: tuple[str, ...] = ("pairs.tsv",) if isinstance(command.defaults, PAIRS) else ("-text.txt",)
    if isinstance(command.defaults, UnpairedSettings):
        paths = ("-text.txt", "pairs.tsv")
    settings = some_settings(command.defaults, paths, random.Random(seed))
    line = settings.command_line(Path("run"))
    name, *words = shlex.split(line)
    assert name == "seqgen"
    _, again = settled(words, monkeypatch)
    assert in_effect(again) | {"paths": None} == in_effect(settings) | {"paths": None}
    assert [Path(path) for path in again.paths] == [Path(path) for path in settings.paths]
