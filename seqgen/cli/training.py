"""A training command from settings to finished model: what all of them share. Each brings a `Recipe`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import typer

from seqgen.cli.options import given, refuse_idle
from seqgen.cli.output import Terminal, show_cursor
from seqgen.cli.settings import command_line, replace, settle
from seqgen.config import Settings, TrainConfig, to_json
from seqgen.errors import Interrupted, ModelError, UsageError
from seqgen.train import launch
from seqgen.wording import counted

if TYPE_CHECKING:
    from torch import nn

    from seqgen.data.sources import Source
    from seqgen.tasks.card import Made
    from seqgen.train.checkpoint import Checkpoint, CheckpointStore
    from seqgen.train.directory import Claim
    from seqgen.train.log import Listener, MetricsLog
    from seqgen.train.progress import Progress
    from seqgen.train.runtime import StopRequest
    from seqgen.train.task import Task


S = TypeVar("S", bound=Settings)


class Recipe(Protocol):
    """What one kind of model brings to its training."""

    @property
    def measured_on(self) -> str:
        """What the measures of `judge` are named by in the log: `valid`, or `train` where nothing is held out."""

    @property
    def index(self) -> str:
        """The file of the data's folder that is written last."""

    def sources(self) -> list[str]:
        """The files and folders that the data is made from."""

    def prepare(self, folder: Path) -> None:
        """Make the data in a folder, or reopen what stands there."""

    def build(self) -> nn.Module:
        """An untrained network, after `prepare`."""

    def task(self, share: Callable[[int], slice]) -> Task:
        """What the loop runs, after `build` and once the network is on its device.

        Args:
            share (Callable[[int], slice]): which of so many examples are computed in this process.
        """

    def model_files(self) -> dict[str, bytes]:
        """What turns weights into a model directory."""

    def described(self) -> tuple[str, str]:
        """The data and the network in one line, and what `--verbose` adds."""

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """The exact measures of the network as it is now; empty without validation data, None when stopped."""

    def summary(self, measures: Mapping[str, float]) -> str:
        """Measures in a few words."""

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""


@dataclass(frozen=True)
class Command(Generic[S]):
    """A training command.

    Args:
        name (str): as it is typed.
        defaults (S): its settings when nothing is said.
        missing (UsageError): what to say when there is no data.
        directory (Callable[[S], Path]): the default run directory.
        recipe (Callable[[S, Terminal], Recipe]): what it trains.
        try_it (str): the command that uses the model, without the model.
        unit (str): what a batch is counted in.
    """

    name: str
    defaults: S
    missing: UsageError
    directory: Callable[[S], Path]
    recipe: Callable[[S, Terminal], Recipe]
    try_it: str
    unit: str = "tokens"

    def run(self, ctx: typer.Context, chosen: Mapping[str, Any] | None = None) -> None:
        """Settle what is wanted, then train.

        Args:
            ctx (typer.Context): all that was typed; `seqgen.cli.training_options` says what that is.
            chosen (Mapping[str, Any] | None): the settings among it by field; None: what was typed.
        """
        chosen = given(ctx) if chosen is None else chosen
        out, resume, config = ctx.params["out"], ctx.params["resume"], ctx.params["config"]
        processes = ctx.params.get("processes", 1)
        starts = processes > 1 and not launch.launched()
        with launch.first_speaks():
            if launch.launched() and processes not in (1, launch.size()):
                raise UsageError(f"--processes {processes} in one of {launch.size()} processes that were started")
            quiet = ctx.params["quiet"] or starts or launch.rank() > 0
            terminal = Terminal(quiet=quiet, verbose=ctx.params["verbose"] and launch.rank() == 0 and not starts)
            if not (chosen.get("paths") or resume or config):
                raise self.missing
            if resume and not (chosen.get("paths") or out):
                hint = self.resume_line(Path("DIRECTORY"))
                raise UsageError("which run? --resume without data needs --out", hint=hint)
            resumed = (out or self.directory(replace(self.defaults, chosen))) if resume else None
            settings = settle(self.name, self.defaults, chosen, resumed=resumed, config=config, note=terminal.note)
        refuse_idle(ctx, settings.idle)
        if starts:  # what was typed is in order
            raise SystemExit(launch.launch(processes, sys.argv[1:]))
        if not resume and "-" in settings.paths and sys.stdin is not None and sys.stdin.isatty():
            terminal.note("reading text from the terminal; end it with Ctrl-D")
        directory = resumed or out or self.directory(settings)
        overwrite, tensorboard = ctx.params["overwrite"], ctx.params["tensorboard"]
        self.train(settings, directory, terminal, resume=resume, overwrite=overwrite, tensorboard=tensorboard)

    def resume_line(self, directory: Path) -> str:
        """What a person types to go on, in as many processes."""
        processes = ["--processes", str(launch.size())] if launch.size() > 1 else []
        return shlex.join(["seqgen", self.name, "--resume", "--out", str(directory), *processes])

    def _described(self, settings: S, sources: Iterable[Source]) -> bytes:
        """`training.json`."""
        from seqgen import modeldir
        from seqgen.data.sources import as_json

        described = {"command": self.name, "settings": to_json(settings), "sources": as_json(sources)}
        return modeldir.json_bytes(described)

    def train(
        self, settings: S, directory: Path, terminal: Terminal, *, resume: bool, overwrite: bool, tensorboard: bool
    ) -> None:
        """Train with settled settings, as far as a signal or the budget lets it, and publish what is finished."""
        from seqgen.cli.display import display
        from seqgen.data.sources import Source
        from seqgen.train import directory as run
        from seqgen.train import distributed, runtime
        from seqgen.train.checkpoint import CheckpointStore, newest
        from seqgen.train.log import TensorBoardLog, require_tensorboard
        from seqgen.train.loop import Trainer
        from seqgen.train.precision import fastest_precision

        with ExitStack() as held:
            with distributed.join(settings.train.device) as group:
                if tensorboard:
                    require_tensorboard()
                threads = runtime.set_threads(settings.train.threads, group.device)
                if not settings.train.threads:
                    terminal.note(f"{counted(threads, 'thread')}; --threads sets another number")
                settings = replace(settings, {"threads": threads})
                recipe = self.recipe(settings, terminal)
                claims: list[run.Claim] = []

                def begin() -> None:
                    claimed = run.claim(directory, resume=resume, overwrite=overwrite, note=terminal.note)
                    claims.append(held.enter_context(claimed))
                    if resume:
                        claims[0].reopen(recipe.index, recipe.prepare, terminal.note)
                    else:
                        claims[0].sources = [Source.of(path) for path in recipe.sources()]
                        claims[0].begin(self._described(settings, claims[0].sources), recipe.prepare)
                    recipe.prepare(directory / run.DATA)

                group.agree(begin)
                claimed = claims[0] if claims else None
                if not claimed:
                    recipe.prepare(directory / run.DATA)  # made by the first process, opened here
                stop = held.enter_context(runtime.StopRequest(terminal.note, show_cursor))
                network = recipe.build().to(group.device)
                store = CheckpointStore(
                    directory, recipe.model_files(), claimed.saved if claimed else lambda step: None
                )
                checkpoint = newest(store, group, terminal.warn) if resume else None
                if resume:
                    step = f"step {checkpoint.state['step']}" if checkpoint else "the start: nothing was saved"
                    terminal.note(f"going on from {step}")
                line, more = recipe.described()
                terminal.note(f"{line}; {directory}")
                task = recipe.task(group.share)
                if settings.train.precision == "auto":
                    choice = fastest_precision(task, settings.train, group)
                    terminal.note(f"{choice.precision}: {choice.why}; --precision sets it")
                    settings = replace(settings, {"precision": choice.precision})
                terminal.detail(f"{group.device}, {counted(threads, 'thread')}, {settings.train.precision}; {more}")
                log = None
                listeners: list[Listener] = []
                if claimed:
                    claimed.settle(self._described(settings, claimed.sources))
                    log = held.enter_context(_open_log(claimed, settings.train, checkpoint))
                    if tensorboard:
                        listeners.append(held.enter_context(closing(TensorBoardLog(directory / run.TENSORBOARD))))
                with display(terminal, self.unit) as shown:
                    trainer = Trainer(
                        task,
                        settings.train,
                        store,
                        log,
                        listeners=[*listeners, *shown],
                        stop=stop,
                        group=group,
                        resume_command=self.resume_line(directory),
                    )
                    if checkpoint:
                        trainer.restore(checkpoint)
                    progress = trainer.run()
            if claimed and log is not None:  # by the first alone: the others have left, for it may take long
                claimed.keep()
                self._finish(settings, claimed, recipe, network, store, log, progress, stop, terminal)

    def _finish(
        self,
        settings: S,
        claimed: Claim,
        recipe: Recipe,
        network: nn.Module,
        store: CheckpointStore,
        log: MetricsLog,
        progress: Progress,
        stop: StopRequest,
        terminal: Terminal,
    ) -> None:
        """Judge the best weights exactly, and turn the run directory into a model directory."""
        from seqgen.tasks.card import Made
        from seqgen.train import directory as run

        directory = claimed.directory
        step = progress.best_step if progress.best_step is not None else progress.step
        try:
            weights = store.weights(step)
        except ModelError as error:
            terminal.warn(f"{error.message}; publishing the last weights instead of the best")
            step = progress.step
            weights = store.weights(step)
        if settings.train.weights == "fp16":
            weights = run.halved(weights, terminal.warn)
        network.load_state_dict(weights)  # rounded where they are published so: it is these that are judged
        measures = recipe.judge(terminal.note, stop)
        if measures is None:
            raise Interrupted(
                "stopped before the model was written; the training is done and saved",
                hint=f"finish with: {self.resume_line(directory)}",
                exit_code=stop.exit_code,
            )
        if measures:
            named = {f"{recipe.measured_on}_{name}": value for name, value in measures.items()}
            log.evaluated({"step": step, **named, "final": True}, best=True)
        log.flush()
        made = Made(
            name=directory.resolve().name,
            step=step,
            minutes=progress.seconds / 60,
            command=command_line(self.name, settings, self.defaults, settings.paths, directory),
        )
        run.publish(
            directory,
            weights,
            recipe.model_files(),
            settings=self._described(settings, claimed.sources),
            metrics=log.content(),
            card=recipe.card(made, measures),
        )
        judged = recipe.summary(measures) if measures else "not validated"
        use = f"{self.try_it} -m {shlex.quote(str(directory))}"
        terminal.note(f"done: step {step} is the best, {judged}\ntry: {use}")


def _open_log(claimed: Claim, config: TrainConfig, checkpoint: Checkpoint | None) -> MetricsLog:
    """`metrics.jsonl` as far as a checkpoint knows it."""
    from seqgen import modeldir
    from seqgen.train.log import MetricsLog

    state: Mapping[str, Any] = checkpoint.state if checkpoint else {"log_size": 0, "log_waiting": ""}
    return MetricsLog(
        claimed.directory / modeldir.METRICS,
        every=config.log_every,
        size=state["log_size"],
        waiting=state["log_waiting"],
        held=claimed.finished,
    )
