"""Options of commands, made from the fields of dataclasses that declare them (`seqgen.config.fields.setting`)."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import typer

from seqgen.config import Config, Option

Body = TypeVar("Body", bound=Callable[..., None])


def declared_options(configs: Iterable[type[Config]], *, before: str) -> Callable[[Body], Body]:
    """Give a command the options of some dataclasses; one that several declare is the same for all.

    Args:
        configs (Iterable[type[Config]]): whose options.
        before (str): the parameter of the command that they stand before.
    """
    added: dict[str, inspect.Parameter] = {}
    for config in configs:
        kinds, defaults = typing.get_type_hints(config), config()
        for name, option in config.options().items():
            added.setdefault(name, parameter_of(option, kinds[name], getattr(defaults, name)))

    def extended(command: Body) -> Body:
        own = own_parameters(command)
        place = [parameter.name for parameter in own].index(before)
        return with_parameters(command, [*own[:place], *added.values(), *own[place:]])

    return extended


def parameter_of(
    option: Option, kind: Any, default: Any, *, help: str = "", shown: str | bool = True
) -> inspect.Parameter:
    """A parameter of a command from the option of a field.

    Args:
        option (Option): of the field.
        kind (Any): its type.
        default (Any): its default.
        help (str): in place of its own.
        shown (str | bool): how the default is shown, if not as it is.
    """
    several = typing.get_origin(kind) is tuple
    annotation: Any = Annotated[
        list[str] | None if several else kind,
        typer.Option(
            *option.flags,
            help=help or option.help,
            rich_help_panel=option.panel,
            metavar=option.metavar,
            envvar=option.variable,
            show_default=shown,
        ),
    ]
    return parameter(option.name, annotation, None if several else default)


def parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter that is given by name."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def own_parameters(command: Body) -> list[inspect.Parameter]:
    """What a command declares itself, as parameters that are given by name."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    return [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.kind is not p.VAR_KEYWORD]


def with_parameters(command: Body, parameters: Iterable[inspect.Parameter]) -> Body:
    """The command, which Typer reads as one of these parameters."""
    parameters = list(parameters)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ |= {parameter.name: parameter.annotation for parameter in parameters}
    return command


def values_of(config: Any) -> dict[str, Any]:
    """The values of the fields of all parts of some settings, by name."""
    return {name: value for part in dataclasses.asdict(config).values() for name, value in part.items()}
