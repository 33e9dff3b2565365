"""The options that several commands share, declared once: same name, same help, same panel everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from seqgen.config import DATA, MACHINE, NumberFormat, ParallelConfig
from seqgen.errors import UsageError

_PAIRS = ParallelConfig.options()
SourceKey = Annotated[str, typer.Option(metavar="NAME", help=_PAIRS["source_key"].help, rich_help_panel=DATA)]
TargetKey = Annotated[str, typer.Option(metavar="NAME", help=_PAIRS["target_key"].help, rich_help_panel=DATA)]

SamplingSeed = Annotated[int | None, typer.Option("--seed", help="Same seed, same text; drawn and printed if absent.")]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="SEQGEN_DEVICE", rich_help_panel=MACHINE),
]
# A seed's output must not depend on what was measured, so that there is no auto here.
UsePrecision = Annotated[
    NumberFormat,
    typer.Option("--precision", help="Of products; bf16 is faster on some machines.", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int, typer.Option(min=0, help="Threads; 0: what is fastest now.", envvar="SEQGEN_THREADS", rich_help_panel=MACHINE)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=MACHINE)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Settings, device and sizes too.", rich_help_panel=MACHINE)
]
Font = Annotated[Path | None, typer.Option(help="A font file for charts, for scripts that the usual fonts lack.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def model(default: str) -> Any:
    """The `--model` option of a command that has a shipped model."""
    return typer.Option("--model", "-m", help=f"Model directory or name; {default} is shipped.")


class ValidCommand(TyperCommand):
    """A command whose `--valid` takes one value, or two: a source and a target."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--valid A B` as `--valid A --valid B`, unless B is all that there is to train on."""
        for i, word in enumerate(args):
            pair = args[i + 1 : i + 3]
            if word == "--valid" and len(pair) == 2 and not any(value.startswith("-") for value in pair):
                spread = [*args[: i + 2], "--valid", *args[i + 2 :]]
                words, _, _ = self.make_parser(ctx).parse_args(args=list(spread))
                if words.get("paths") or {"--resume", "--config"} & set(args):
                    args = spread
                break
        return super().parse_args(ctx, args)


class OnceCommand(TyperCommand):
    """A command that takes no option twice, unless the option takes several values: the first would be forgotten.

    For commands that use a model, where two values look as if both were asked for. In training the last one wins, so
    that a person can add to a line of the README or of a card.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse a repeated option.

        Raises:
            UsageError: there is one.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in order:
            several = parameter.multiple or getattr(parameter, "is_flag", False)
            if parameter.param_type_name == "option" and not several and order.count(parameter) > 1:
                raise UsageError(f"{flag(parameter)} is given twice, but takes one value")
        return super().parse_args(ctx, args)


class SpreadCommand(OnceCommand):
    """A command without arguments, some of whose options take any number of values: `--compare A B C`."""

    spread = frozenset({"--compare", "--gradients"})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--compare A B` as `--compare A --compare B`."""
        words: list[str] = []
        option = None
        for word in args:
            if word.startswith("-") and word != "-":
                option = word if word in self.spread else None
            elif option and words[-1] != option:
                words.append(option)
            words.append(word)
        return super().parse_args(ctx, words)


def given(ctx: typer.Context) -> dict[str, Any]:
    """The parameters that the person set, on the command line or by a variable, without the defaults."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {
        name: ctx.params[name]
        for name, source in sources.items()
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
    }


def refuse_idle(ctx: typer.Context, idle: Mapping[str, str]) -> None:
    """Refuse an option that was typed and that nothing would read: whoever typed it would wait for its effect.

    Args:
        ctx (typer.Context): all that was typed.
        idle (Mapping[str, str]): the parameters without effect, each with the choice that it is: `with --greedy`.

    Raises:
        UsageError: there is one.
    """
    typed = given(ctx)
    for parameter in ctx.command.params:
        if parameter.name in typed and parameter.name in idle:
            message = f"{flag(parameter)} has no effect {idle[parameter.name]}"
            raise UsageError(message, hint="leave it out, or choose otherwise")


def flag(parameter: Any) -> str:
    """A parameter as it is typed: its longest option."""
    longest: str = max(parameter.opts, key=len)
    return longest


def idle_unless(condition: bool, names: Iterable[str], why: str) -> dict[str, str]:
    """What `refuse_idle` takes: these parameters do nothing, unless the condition holds."""
    return {} if condition else dict.fromkeys(names, why)
