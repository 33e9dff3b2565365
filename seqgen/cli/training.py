"""A training command: from what was typed to settled settings, and then a run (`seqgen.train.session`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from seqgen.cli.options import given, refuse_idle
from seqgen.cli.settings import settle
from seqgen.cli.terminal import Terminal, show_cursor
from seqgen.config import Settings, replace
from seqgen.errors import UsageError
from seqgen.train import launch

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Command(Generic[S]):
    """A training command.

    Args:
        defaults (S): its settings when nothing is said.
        missing (UsageError): what to say when there is no data.
        recipe (Callable[[S, Callable[[str], None]], Recipe[Any]]): what it trains, from settings and whom to warn.
    """

    defaults: S
    missing: UsageError
    recipe: Callable[[S, Callable[[str], None]], Recipe[Any]]

    def run(self, ctx: typer.Context, chosen: Mapping[str, Any] | None = None) -> None:
        """Settle what is wanted, then train.

        Args:
            ctx (typer.Context): all that was typed; `seqgen.cli.training_options` says what that is.
            chosen (Mapping[str, Any] | None): the settings among it by field; None: what was typed.
        """
        chosen = given(ctx) if chosen is None else chosen
        processes = ctx.params.get("processes", 1)
        starts = processes > 1 and not launch.launched()
        with launch.first_speaks():
            if launch.launched() and processes not in (1, launch.size()):
                raise UsageError(f"--processes {processes} in one of {launch.size()} processes that were started")
            quiet = ctx.params["quiet"] or starts or launch.rank() > 0
            terminal = Terminal(quiet=quiet, verbose=ctx.params["verbose"] and launch.rank() == 0 and not starts)
            settings, directory = self._settled(ctx, chosen, terminal)
        refuse_idle(ctx, settings.idle)
        if starts:  # what was typed is in order
            raise SystemExit(launch.launch(processes, sys.argv[1:]))
        resume = ctx.params["resume"]
        if not resume and "-" in settings.paths and sys.stdin is not None and sys.stdin.isatty():
            terminal.note("reading text from the terminal; end it with Ctrl-D")
        overwrite, tensorboard = ctx.params["overwrite"], ctx.params["tensorboard"]
        self.train(settings, directory, terminal, resume=resume, overwrite=overwrite, tensorboard=tensorboard)

    def _settled(self, ctx: typer.Context, chosen: Mapping[str, Any], terminal: Terminal) -> tuple[S, Path]:
        """The settings, and the directory of the run."""
        out, resume, config = ctx.params["out"], ctx.params["resume"], ctx.params["config"]
        if not (chosen.get("paths") or resume or config):
            raise self.missing
        if resume and not (chosen.get("paths") or out):
            hint = launch.resume_command(self.defaults, Path("DIRECTORY"))
            raise UsageError("which run? --resume without data needs --out", hint=hint)
        resumed = (out or replace(self.defaults, chosen).directory) if resume else None
        settings = settle(self.defaults, chosen, resumed=resumed, config=config, note=terminal.note)
        return settings, resumed or out or settings.directory

    def train(
        self, settings: S, directory: Path, terminal: Terminal, *, resume: bool, overwrite: bool, tensorboard: bool
    ) -> None:
        """Train with settled settings, shown on a terminal."""
        from seqgen.cli.display import display
        from seqgen.train.session import Reporter, train

        reporter = Reporter(
            note=terminal.note,
            warn=terminal.warn,
            detail=terminal.detail,
            show=lambda measures: display(terminal, measures),
            leave=show_cursor,
        )
        recipe = self.recipe(settings, terminal.warn)
        train(recipe, directory, resume=resume, overwrite=overwrite, tensorboard=tensorboard, reporter=reporter)
