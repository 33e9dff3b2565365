"""Fields that declare their options and ranges, and configurations in words and to and from JSON.

A field says all that is known of a choice: its default, its range, and the option that sets it.

    num_layers: int = setting(2, MODEL, "Recurrent layers.", "--layers", low=1, high=MAX_LAYERS)
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from seqgen.errors import ConfigError

# Larger than any network for a laptop, small enough that a hostile config.json cannot ask for the machine.
MAX_SIZE = 65_536
MAX_LAYERS = 64

Panel = str
DATA: Panel = "Data"
MODEL: Panel = "Model"
TRAINING: Panel = "Training"
SAVING: Panel = "Saving"
MACHINE: Panel = "Machine"
PANELS: tuple[Panel, ...] = (DATA, MODEL, TRAINING, SAVING, MACHINE)

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What the command line knows of a field.

    Args:
        name (str): the field's.
        help (str): one sentence.
        panel (Panel): the part of the help that it stands in.
        flags (tuple[str, ...]): as it is typed, `--on/--off` where it is a switch with both ways.
        metavar (str | None): what stands for the value in the help.
        variable (str | None): the environment variable that sets it, too.
    """

    name: str
    help: str
    panel: Panel
    flags: tuple[str, ...]
    metavar: str | None = None
    variable: str | None = None

    @property
    def word(self) -> str:
        """Its name on the command line, without dashes."""
        return self.flags[0].partition("/")[0].removeprefix("--")

    def typed(self, value: object) -> list[str]:
        """The words that set it to a value."""
        if value is False:
            off = self.flags[0].partition("/")[2]
            return [off or f"--no-{self.word}"]
        if value is True:
            return [f"--{self.word}"]
        values = value if isinstance(value, tuple) else (value,)
        return [word for each in values for word in (f"--{self.word}", str(each))]


def setting(
    default: T,
    panel: Panel,
    help: str,
    *flags: str,
    low: float = -math.inf,
    high: float = math.inf,
    metavar: str | None = None,
    variable: str | None = None,
) -> T:
    """A field with a range and an option; the flags are made of its name, unless others are given. See `Option`."""
    option = {"help": help, "panel": panel, "flags": flags, "metavar": metavar, "variable": variable}
    return dataclasses.field(default=default, metadata={"range": (low, high), "option": option})


def ranged(default: T, low: float = -math.inf, high: float = math.inf) -> T:
    """A field with a range and no option of its own."""
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def same_setting(cls: type[Config], name: str, default: T) -> T:
    """A field of a base class with another default."""
    metadata = next(field.metadata for field in dataclasses.fields(cls) if field.name == name)  # type: ignore[arg-type]
    return dataclasses.field(default=default, metadata=metadata)


def option_of(field: dataclasses.Field[Any]) -> Option | None:
    """The option of a field; None if it has none."""
    if (known := field.metadata.get("option")) is None:
        return None
    plain = f"--{field.name}".replace("_", "-")
    flags = known["flags"] or (f"{plain}/--no-{plain[2:]}" if field.default is True else plain,)
    return Option(field.name, **known | {"flags": flags})


class Config:
    """What all configurations have in common: numbers are checked against the ranges of their fields."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            low, high = field.metadata.get("range", (-math.inf, math.inf))
            if (low, high) != (-math.inf, math.inf) and getattr(self, field.name) is not None:
                self.within(field.name, low, high)

    def within(self, name: str, low: float, high: float) -> None:
        """Refuse a field outside [low, high]; not-a-number is outside of everything.

        Raises:
            ConfigError: it is.
        """
        value = getattr(self, name)
        if not low <= value <= high:
            above = f"at least {low:g}" if value < low else f"at most {high:g}" if value > high else "a number"
            raise ConfigError(f"{self.word(name)} is {value}, but must be {above}")

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The options of the fields, by name of the field."""
        found = ((field.name, option_of(field)) for field in dataclasses.fields(cls))  # type: ignore[arg-type]
        return {name: option for name, option in found if option}

    @classmethod
    def word(cls, name: str) -> str:
        """What a field is called on the command line, without dashes."""
        option = cls.options().get(name)
        return option.word if option else name.replace("_", "-")

    @property
    def idle(self) -> Mapping[str, str]:
        """The fields that nothing reads as the others are, each with the choice that it is: `with --cell lstm`.

        An option for such a field is refused when it is typed. In a file it is left as it is: it may be of use again
        with another choice.
        """
        return {}


def in_words(config: Config) -> str:
    """The fields of a configuration that count, by their options: `cell lstm, layers 2, tied no`."""
    words = []
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if isinstance(value, Config):
            words.append(in_words(value))
        elif field.name not in config.idle and value not in (None, (), ""):
            words.append(f"{config.word(field.name)} {shown(value)}")
    return ", ".join(words)


def shown(value: object) -> str:
    """A setting's value as a person would write it; of a list its first few."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value[:5])) + (" ..." if len(value) > 5 else "")
    return "none" if value is None else str(value).removesuffix(".0")


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
        arms = [arm for arm in typing.get_args(kind) if arm is not type(None)]
        if value is None and len(arms) < len(typing.get_args(kind)):
            return None
        return _convert(value, arms[0] if len(arms) == 1 else _tagged(value, arms, where), where)
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


def _tagged(value: object, arms: list[Any], where: str) -> Any:
    """Which of several configurations an object is of, by their tag: the field whose choices are others in each."""
    choices = [{name: typing.get_args(kind) for name, kind in typing.get_type_hints(arm).items()} for arm in arms]
    tag = next(
        name
        for name, values in choices[0].items()
        if values and all(name in other and not set(values) & set(other[name]) for other in choices[1:])
    )
    found = value.get(tag) if isinstance(value, Mapping) else None
    for arm, known in zip(arms, choices, strict=True):
        if isinstance(found, str) and found in known[tag]:
            return arm
    names = ", ".join(repr(name) for known in choices for name in known[tag])
    raise ConfigError(f"{where}.{tag} is {reprlib.repr(found)}, not one of {names}")
