"""The options of a training command, made from its settings: each field of these declares its own.

    @training_options({"": LanguageModelSettings()})
    def train_lm(ctx: typer.Context, paths: ..., **chosen: Any) -> None: ...

A command's own parameters come first; one that is named like a field takes the place of the field's option.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seqgen.cli import options
from seqgen.cli.declared_options import Body, own_parameters, parameter, parameter_of, values_of, with_parameters
from seqgen.config import MACHINE, PANELS, SAVING, Settings


def _option(kind: Any, text: str, panel: str, *names: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, help=text, rich_help_panel=panel, **more)]


# What is no setting of the run, with its value when nothing is said.
HOW: Mapping[str, tuple[Any, Any]] = {
    "out": (_option(Path | None, "Run directory.", SAVING, "--out", "-o"), None),
    "resume": (_option(bool, "Go on with the run in --out.", SAVING, "--resume"), False),
    "overwrite": (_option(bool, "Replace the run in --out.", SAVING, "--overwrite"), False),
    "config": (_option(Path | None, "Take settings from a training.json; options win.", SAVING, "--config"), None),
    "tensorboard": (_option(bool, "Write TensorBoard events too.", SAVING, "--tensorboard"), False),
    "processes": (_option(int, "Processes that share each batch, as torchrun starts them.", MACHINE, min=1), 1),
    "quiet": (options.Quiet, False),
    "verbose": (options.Verbose, False),
}


def training_options(variants: Mapping[str, Settings], *, without: tuple[str, ...] = ()) -> Callable[[Body], Body]:
    """Give a command the options of its settings.

    Args:
        variants (Mapping[str, Settings]): the defaults. A command that takes several kinds of data has settings for
            each, named by what they are of, such as `text` and `pairs`: it has the options of all, and their help says
            what belongs to one kind only.
        without (tuple[str, ...]): those of `HOW` that the command does not know.
    """

    def extended(command: Body) -> Body:
        own = own_parameters(command)
        taken = {p.name for p in own}
        how = [parameter(name, *known) for name, known in HOW.items() if name not in without]
        fields = [p for p in _of_fields(variants) if p.name not in taken]
        return with_parameters(command, [*own, *sorted((*how, *fields), key=_panel_number)])

    return extended


def _panel_number(parameter: inspect.Parameter) -> int:
    return PANELS.index(parameter.annotation.__metadata__[0].rich_help_panel)


def _of_fields(variants: Mapping[str, Settings]) -> Iterator[inspect.Parameter]:
    """One parameter for each field of any variant, in their order."""
    known = {label: settings.options() for label, settings in variants.items()}
    values = {label: values_of(settings) for label, settings in variants.items()}
    kinds = {label: _types(settings) for label, settings in variants.items()}
    for name in dict.fromkeys(name for found in known.values() for name in found):
        labels = [label for label in variants if name in known[label]]
        option, default = known[labels[0]][name], values[labels[0]][name]
        of = "" if len(labels) == len(variants) else f"{', '.join(labels)}: "
        help = f"{of}{_lowered(option.help)}" if of else option.help
        others = {label: values[label][name] for label in labels[1:] if values[label][name] != default}
        shown = "; ".join([_plain(default), *(f"{label}: {_plain(value)}" for label, value in others.items())])
        yield parameter_of(option, kinds[labels[0]][name], default, help=help, shown=shown if others else True)


def _types(settings: Settings) -> dict[str, Any]:
    """The type of each field of all parts."""
    return {name: kind for part in settings.parts().values() for name, kind in typing.get_type_hints(part).items()}


def _lowered(text: str) -> str:
    """A sentence that goes on after a colon."""
    return text[0].lower() + text[1:]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
