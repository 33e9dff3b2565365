"""Finding the model that a user named: a path, a model below `./models`, or one that came with the package."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from seqgen.errors import ModelError
from seqgen.modeldir.layout import ASIDE, CONFIG, MANIFEST, SETTINGS
from seqgen.modeldir.reading import read_json, verify

CHECKPOINT = rf"({re.escape(ASIDE)})?step-[0-9]{{1,18}}"


def shipped_directory() -> Path | None:
    """The folder of shipped models: inside an installed wheel, beside the package in a checkout."""
    package = Path(__file__).parent.parent
    if (inside := package / "_models").is_dir():
        return inside
    beside = package.parent / "models"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def find_models() -> Iterable[Path]:
    """Every model and every run below `./models`, and every shipped model, each folder once, in order of name."""
    seen: set[Path] = set()
    for parent in (Path("models"), shipped_directory()):
        if parent is None or not parent.is_dir():
            continue
        for path in sorted(parent.iterdir()):
            if path.resolve() not in seen and ((path / CONFIG).is_file() or training_command(path)):
                seen.add(path.resolve())
                yield path


def locate(name: str) -> Path:
    """The directory to load for what a user typed (see `run_directory`).

    An unfinished run answers with its newest checkpoint that verifies.

    Raises:
        ModelError: there is no such model, or nothing in it is whole.
    """
    return _newest_whole(run_directory(name))


def run_directory(name: str) -> Path:
    """The directory of the model or run that a user typed: a path, a name below `./models`, or a shipped name.

    Never the network. Whether it holds anything is not checked.

    Raises:
        ModelError: there is no such directory.
    """
    shipped = shipped_directory()
    places = [Path(name), Path("models") / name, *([shipped / name] if shipped else [])]
    for place in places:
        if os.path.isdir(place):
            return place
        if os.path.exists(place):
            raise ModelError(f"{place} is a file, not a model directory")
    known = [path.name for path in find_models()]
    raise ModelError(
        f"no model {name!r} here",
        hint=f"known models: {', '.join(known)}" if known else "train one, a text for example: seqgen train-lm FILE",
    )


def _newest_whole(directory: Path) -> Path:
    if (directory / MANIFEST).is_file():
        verify(directory)
        return directory
    for checkpoint in checkpoints(directory):
        with contextlib.suppress(ModelError):
            verify(checkpoint)
            return checkpoint
    command = training_command(directory)
    raise ModelError(
        f"{directory} holds no whole model: no {MANIFEST}, and no checkpoint that verifies",
        hint=f"go on with its training: seqgen {command} --resume --out {shlex.quote(str(directory))}"
        if command
        else "",
    )


def training_command(directory: Path) -> str:
    """The command that trains the run in a directory, such as `train-lm`; empty if there is no run."""
    try:
        data = read_json(directory / SETTINGS)
    except ModelError:
        return ""
    command = data.get("command")
    plain = isinstance(command, str) and re.fullmatch("[a-z][a-z0-9-]*", command)
    return str(command) if plain and isinstance(data.get("settings"), dict) else ""


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints of a run, newest first; among them one that a kill left aside while it was being replaced."""
    found = [path for path in (directory / "checkpoints").glob("*") if re.fullmatch(CHECKPOINT, path.name)]
    return sorted(found, key=lambda path: (step_of(path), not path.name.startswith(ASIDE)), reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])
