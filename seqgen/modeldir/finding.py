"""Finding the model that a user named: a path, a model below `./models`, or one that came with the package."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from seqgen.errors import ModelError
from seqgen.modeldir.layout import ASIDE, CONFIG, MANIFEST
from seqgen.modeldir.reading import verify


def shipped_directory() -> Path | None:
    """The folder of shipped models: inside an installed wheel, beside the package in a checkout."""
    package = Path(__file__).parent.parent
    if (inside := package / "_models").is_dir():
        return inside
    beside = package.parent / "models"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def find_models() -> Iterable[Path]:
    """Every model below `./models` and every shipped one, each folder once, in order of name."""
    seen: set[Path] = set()
    for parent in (Path("models"), shipped_directory()):
        if parent is None or not parent.is_dir():
            continue
        for path in sorted(parent.iterdir()):
            if path.resolve() not in seen and (path / CONFIG).is_file():
                seen.add(path.resolve())
                yield path


def locate(name: str) -> Path:
    """The directory to load for what a user typed: a path, a model below `./models`, or a shipped name.

    An unfinished run answers with its newest checkpoint that verifies. Never the network.

    Raises:
        ModelError: there is no such model, or nothing in it is whole.
    """
    shipped = shipped_directory()
    places = [Path(name), Path("models") / name, *([shipped / name] if shipped else [])]
    for place in places:
        if os.path.isdir(place):
            return _newest_whole(place)
        if os.path.exists(place):
            raise ModelError(f"{place} is a file, not a model directory")
    known = [path.name for path in find_models()]
    raise ModelError(
        f"no model {name!r} here",
        hint=f"known models: {', '.join(known)}" if known else "train one with seqgen train-lm",
    )


def _newest_whole(directory: Path) -> Path:
    if (directory / MANIFEST).is_file():
        verify(directory)
        return directory
    for checkpoint in checkpoints(directory):
        with contextlib.suppress(ModelError):
            verify(checkpoint)
            return checkpoint
    raise ModelError(
        f"{directory} holds no whole model: no {MANIFEST}, and no checkpoint that verifies",
        hint=f"if its training was cut short: seqgen train-lm --resume --out {directory}",
    )


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints of a run, newest first; among them one that a kill left aside while it was being replaced."""
    folder = directory / "checkpoints"
    found = [*folder.glob("step-*"), *folder.glob(f"{ASIDE}step-*")]
    return sorted(found, key=lambda path: (path.name.removeprefix(ASIDE), path.name[0] != "."), reverse=True)
