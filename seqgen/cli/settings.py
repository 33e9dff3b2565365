"""From options to settings and back: defaults, then a file, then what was typed.

A command's settings are one dataclass whose parts are dataclasses (`seqgen.config.LanguageModelSettings`); options have
the names of the fields. `training.json` holds `{"command": …, "settings": …}`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seqgen.config import BUDGETS, Settings, TrainConfig, WatchConfig, differences, from_json, replace, shown
from seqgen.errors import ConfigError, ModelError, UsageError

S = TypeVar("S", bound=Settings)

# What a resumed run may change: how long and how fast it goes on, and on which machine; not what it is.
_LOOP, _WATCH = ({f.name for f in dataclasses.fields(part)} for part in (TrainConfig, WatchConfig))
FREE_ON_RESUME = _LOOP - {"seed", "batch_size", "ema"} | _WATCH | {"on_collapse", "level"}


def settle(
    defaults: S,
    chosen: Mapping[str, Any],
    *,
    resumed: Path | None,
    config: Path | None,
    note: Callable[[str], None],
) -> S:
    """The settings of a run.

    Args:
        defaults (Settings): where nothing else is said.
        chosen (Mapping[str, Any]): the options that were typed, by field.
        resumed (Path | None): the directory of the run that is resumed.
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
    before = defaults if path is None or (resumed and not path.is_file()) else _read(path, type(defaults))
    settings = replace(before, chosen)
    if resumed and before is not defaults:
        _tell_changes(before, settings, note)
    return settings


def _tell_changes(before: Settings, settings: Settings, note: Callable[[str], None]) -> None:
    """Say what a resumed run does differently from now on; a budget takes the place of the one before."""
    changes = differences(before, settings)
    options = settings.options()
    budget = next((f"{n} {shown(old)}" for n, (old, _) in changes.items() if n in BUDGETS and old), "")
    for name, (old, new) in changes.items():
        word = options[name].word if name in options else name
        if name not in FREE_ON_RESUME:
            raise UsageError(f"a resumed run cannot change --{word} from {shown(old)} to {shown(new)}")
        if new is not None:
            note(f"going on with {word} {shown(new)} (was {shown(old) if old is not None else budget})")


def stored_part(place: Path | None, part: str) -> dict[str, Any]:
    """A part of the settings of the run in a directory, or of a settings file; empty if that cannot be told."""
    if place is None:
        return {}
    try:
        data = json.loads((place / "training.json" if place.is_dir() else place).read_bytes())
        return dict(data["settings"][part])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _read(path: Path, kind: type[S]) -> S:
    from seqgen import modeldir

    try:
        data = modeldir.read_json(path)
    except ModelError as error:
        raise ConfigError(error.message) from None
    if data.get("command") != kind.command:
        raise ConfigError(f"{path} does not hold the settings of seqgen {kind.command}")
    return from_json(kind, data.get("settings"), where=str(path))
