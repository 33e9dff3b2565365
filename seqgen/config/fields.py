"""Checks of single fields, fields in the words of the command line, and configurations to and from JSON."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from seqgen.errors import ConfigError

# Larger than any network for a laptop, small enough that a hostile config.json cannot ask for the machine.
MAX_SIZE = 65_536
MAX_LAYERS = 64

# Options that are not called like their fields.
_OPTIONS = {"num_layers": "layers", "num_heads": "heads", "num_kv_heads": "kv-heads", "warmup_steps": "warmup"}
_OPPOSITES = {"bidirectional": "unidirectional", "joint": "separate", "tied": "untied"}

T = TypeVar("T")


class Config:
    """What all configurations have in common."""

    @property
    def idle(self) -> Mapping[str, str]:
        """The fields that nothing reads as the others are, each with the choice that it is: `with --cell lstm`.

        An option for such a field is refused when it is typed. In a file it is left as it is: it may be of use again
        with another choice.
        """
        return {}


def option(name: str) -> str:
    """The option that sets a field, without its dashes."""
    return _OPTIONS.get(name, name).replace("_", "-")


def as_typed(name: str, value: object) -> list[str]:
    """The words on the command line that set a field to a value."""
    if value is False:
        name = _OPPOSITES.get(name, f"no-{name}")
    values = value if isinstance(value, tuple) else () if isinstance(value, bool) else (value,)
    return [f"--{option(name)}", *map(str, values)]


def in_words(config: Any) -> str:
    """The fields of a configuration that count, by their options: `cell lstm, layers 2, tied no`."""
    words = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            words.append(in_words(value))
        elif field.name not in config.idle and value not in (None, (), ""):
            words.append(f"{option(field.name)} {shown(value)}")
    return ", ".join(words)


def shown(value: object) -> str:
    """A setting's value as a person would write it; of a list its first few."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value[:5])) + (" ..." if len(value) > 5 else "")
    return "none" if value is None else str(value).removesuffix(".0")


def within(config: object, name: str, low: float, high: float) -> None:
    """Refuse a field outside [low, high]; not-a-number is outside of everything."""
    value = getattr(config, name)
    if not low <= value <= high:
        above = f"at least {low:g}" if value < low else f"at most {high:g}" if value > high else "a number"
        raise ConfigError(f"{option(name)} is {value}, but must be {above}")


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as a JSON object; `from_json` is its inverse."""
    return dataclasses.asdict(config)


def from_json(cls: type[T], data: object, *, where: str) -> T:
    """A configuration from parsed JSON, every field checked.

    Args:
        cls (type[T]): the dataclass to make.
        data (object): what the JSON parser returned.
        where (str): what an error names, such as `models/x/config.json: network`.

    Raises:
        ConfigError: the object has an unknown field, a wrong type or a value out of range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where} is not an object")
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            raise ConfigError(
                f"{where} has an unknown field {reprlib.repr(name)}", hint=f"meant {near[0]!r}?" if near else ""
            )
    values = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in data.items()}
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.name not in values and f.default is f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} has no field {f.name!r}")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _convert(value: object, kind: Any, where: str) -> Any:
    """The value as `kind`, or a ConfigError; JSON's integers pass for floats and its lists for tuples."""
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast("type[Any]", kind), value, where=where)
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value in typing.get_args(kind):
            return value
        raise ConfigError(f"{where} is {reprlib.repr(value)}, not one of {', '.join(map(repr, typing.get_args(kind)))}")
    if origin is types.UnionType:
        if value is None:
            return None
        return _convert(value, next(arm for arm in typing.get_args(kind) if arm is not type(None)), where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {reprlib.repr(value)}, not a list")
        return tuple(_convert(item, typing.get_args(kind)[0], where) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where} is too large") from None
    if type(value) is not kind:
        raise ConfigError(f"{where} is {reprlib.repr(value)}, not of type {kind.__name__}")
    return value
