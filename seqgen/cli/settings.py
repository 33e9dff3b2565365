"""From options to settings and back: defaults, then a file, then what was typed.

A command's settings are one dataclass whose parts are dataclasses (`seqgen.config.LanguageModelSettings`); options have
the names of the fields. `training.json` holds `{"command": …, "settings": …}`.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from seqgen.config import Settings, TrainConfig, WatchConfig, as_typed, from_json, option, shown, to_json
from seqgen.errors import ConfigError, ModelError, UsageError

S = TypeVar("S", bound=Settings)

BUDGETS = ("steps", "epochs", "minutes")

# What a resumed run may change: how long and how fast it goes on, and on which machine; not what it is.
_LOOP, _WATCH = ({f.name for f in dataclasses.fields(part)} for part in (TrainConfig, WatchConfig))
FREE_ON_RESUME = _LOOP - {"seed", "batch_size", "ema"} | _WATCH | {"on_collapse"}


def settle(
    command: str,
    defaults: S,
    chosen: Mapping[str, Any],
    *,
    resumed: Path | None,
    config: Path | None,
    note: Callable[[str], None],
) -> S:
    """The settings of a run.

    Args:
        command (str): whose settings they are, such as `train-lm`.
        defaults (Settings): where nothing else is said.
        chosen (Mapping[str, Any]): the options that were typed, by field.
        resumed (Path | None): the run directory that is gone on with.
        config (Path | None): a settings file to replay.
        note (Callable[[str], None]): told what a resumed run does differently from now on.

    Raises:
        UsageError: a resumed run would become another one.
        ConfigError: a file or an option is wrong.
    """
    if resumed and config:
        raise UsageError("--resume and --config exclude each other")
    path = resumed / "training.json" if resumed else config
    # A missing run is told by whoever claims the directory.
    before = defaults if path is None or (resumed and not path.is_file()) else _read(path, command, type(defaults))
    settings = replace(before, chosen)
    if resumed and before is not defaults:
        _tell_changes(before, settings, note)
    return settings


def _tell_changes(before: Settings, settings: Settings, note: Callable[[str], None]) -> None:
    """Say what a resumed run does differently from now on; a budget takes the place of the one before."""
    differences = _differences(before, settings)
    budget = next((f"{option(n)} {shown(old)}" for n, (old, _) in differences.items() if n in BUDGETS and old), "")
    for name, (old, new) in differences.items():
        if name not in FREE_ON_RESUME:
            raise UsageError(f"a resumed run cannot change --{option(name)} from {shown(old)} to {shown(new)}")
        if new is not None:
            note(f"going on with {option(name)} {shown(new)} (was {shown(old) if old is not None else budget})")


def stored_data(place: Path | None) -> dict[str, Any]:
    """What the run in a directory, or of a settings file, says of its text; nothing if that cannot be told."""
    if place is None:
        return {}
    try:
        data = json.loads((place / "training.json" if place.is_dir() else place).read_bytes())
        return dict(data["settings"]["text"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def field_names(settings: Settings) -> list[str]:
    """The names of all fields of all parts."""
    return [name for part in to_json(settings).values() for name in part]


def replace(settings: S, chosen: Mapping[str, Any]) -> S:
    """The settings with some fields changed, each in the part that has it; one budget replaces another."""
    parts: dict[str, Any] = {}
    for part in dataclasses.fields(settings):  # type: ignore[arg-type]
        old = getattr(settings, part.name)
        names = {field.name for field in dataclasses.fields(old)}
        changes = {name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items() if name in names}
        if any(name in changes for name in BUDGETS):
            changes = dict.fromkeys(BUDGETS) | changes
        parts[part.name] = dataclasses.replace(old, **changes)
    return type(settings)(**parts)


def command_line(command: str, settings: Settings, defaults: Settings, paths: Sequence[str], directory: Path) -> str:
    """The command that gives these settings, defaults left out, and what nothing reads."""
    # A name that begins with a dash would be read as an option.
    words = ["seqgen", command, *(f"./{path}" if path.startswith("-") and path != "-" else path for path in paths)]
    for name, (_, value) in _differences(defaults, settings).items():
        if name != "paths" and name not in settings.idle and value is not None:
            words += as_typed(name, value)
    return shlex.join([*words, "--out", str(directory)])


def _read(path: Path, command: str, kind: type[S]) -> S:
    from seqgen import modeldir

    try:
        data = modeldir.read_json(path)
    except ModelError as error:
        raise ConfigError(error.message) from None
    if data.get("command") != command:
        raise ConfigError(f"{path} does not hold the settings of seqgen {command}")
    return from_json(kind, data.get("settings"), where=str(path))


def _differences(one: Settings, two: Settings) -> dict[str, tuple[Any, Any]]:
    """The fields in which two settings differ, by name, with both values."""
    other = to_json(two)
    pairs = ((name, old, other[part][name]) for part, values in to_json(one).items() for name, old in values.items())
    return {name: (old, new) for name, old, new in pairs if old != new}
