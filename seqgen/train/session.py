"""A run from settings to finished model: all that a training command does, without the command line.

settings = LanguageModelSettings(text=RecurrentTextConfig(paths=("data.txt",)))
train(LanguageModelRecipe(settings), settings.directory)
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from seqgen import modeldir
from seqgen.config import Settings, replace, to_json
from seqgen.data.sources import Source, as_json
from seqgen.errors import Interrupted, ModelError
from seqgen.metrics.measure import Measure
from seqgen.train import distributed, launch, machine
from seqgen.train.checkpoint import Checkpoint, CheckpointStore, newest
from seqgen.train.directory import DATA, TENSORBOARD, Claim, claim, halved, publish
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, MetricsLog, TensorBoardLog, require_tensorboard
from seqgen.train.loop import Trainer
from seqgen.train.precision import fastest_precision
from seqgen.train.progress import Progress
from seqgen.train.recipe import Made, Recipe, Trainee
from seqgen.train.stop import StopRequest
from seqgen.train.task import Task
from seqgen.wording import counted


def _unheard(message: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Reporter:
    """Who is told of a run; by default nobody.

    Args:
        note (Callable[[str], None]): what a person should know.
        warn (Callable[[str], None]): what may be wrong.
        detail (Callable[[str], None]): what `--verbose` adds.
        show (Callable[[Sequence[Measure]], AbstractContextManager[list[Listener]]]): shows these measures meanwhile.
        leave (Callable[[], None]): called before a second signal ends the process at once.
    """

    note: Callable[[str], None] = _unheard
    warn: Callable[[str], None] = _unheard
    detail: Callable[[str], None] = _unheard
    show: Callable[[Sequence[Measure]], AbstractContextManager[list[Listener]]] = lambda measures: nullcontext([])
    leave: Callable[[], None] = lambda: None


def train(
    recipe: Recipe[Any],
    directory: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> None:
    """Train as far as a signal or the budget lets it, and publish what is finished.

    Args:
        recipe (Recipe[Any]): what is trained, with its settings.
        directory (Path): of the run, and then of the model.
        resume (bool): continue the run that stands there.
        overwrite (bool): replace the run that stands there.
        tensorboard (bool): write TensorBoard events too.
        reporter (Reporter | None): who is told of it.

    Raises:
        Interrupted: a signal came; the state is saved.
        SeqgenError: the settings, the data or the directory cannot be used, or the run failed.
    """
    with ExitStack() as held:
        with distributed.join(recipe.settings.train.device) as group:
            if tensorboard:
                require_tensorboard()
            session = _Session(recipe, directory, group, reporter or Reporter(), held, resume)
            trained = session.run(overwrite=overwrite, tensorboard=tensorboard)
        if trained:  # by the first process alone: the others have left, for it may take long
            trained.claimed.keep()
            session.finish(trained)


@dataclass(frozen=True)
class _Trained:
    """What the first process has when the loop has ended."""

    claimed: Claim
    model: Trainee
    store: CheckpointStore
    log: MetricsLog
    progress: Progress
    stop: StopRequest


class _Session:
    """One process's part in a run; `held` is left when the run is over."""

    def __init__(
        self, recipe: Recipe[Any], directory: Path, group: Group, tell: Reporter, held: ExitStack, resume: bool
    ) -> None:
        self.recipe, self.directory, self.group, self.tell = recipe, directory, group, tell
        self.held, self.resume = held, resume
        self.settings = recipe.settings
        asked = self.settings.train.threads
        threads = machine.set_threads(asked, group.device)
        if not asked:
            tell.note(f"{counted(threads, 'thread')}; --threads sets another number")
        self.settings = self._with(threads=threads)

    def _with(self, **measured: Any) -> Settings:
        """The settings with what was measured."""
        return replace(self.settings, measured)

    def run(self, *, overwrite: bool, tensorboard: bool) -> _Trained | None:
        """Everything up to the end of the loop; None in all processes but the first."""
        claimed, data = self._claim(overwrite)
        stop = self.held.enter_context(StopRequest(self.tell.note, self.tell.leave))
        model = self.recipe.build(data)
        model.network.to(self.group.device)
        store = CheckpointStore(self.directory, model.files(), claimed.saved if claimed else lambda step: None)
        checkpoint = self._newest(store) if self.resume else None
        line, more = model.described()
        self.tell.note(f"{line}; {self.directory}")
        task = model.task(self.group.share)
        self._settle_precision(task)
        threads, precision = counted(self.settings.train.threads, "thread"), self.settings.train.precision
        self.tell.detail(f"{self.group.device}, {threads}, {precision}; {more}")
        log = None
        listeners: list[Listener] = []
        if claimed:
            claimed.settle(self._described(claimed.sources))
            log = self.held.enter_context(self._open_log(claimed, checkpoint))
            if tensorboard:
                listeners.append(self.held.enter_context(closing(TensorBoardLog(self.directory / TENSORBOARD))))
        progress = self._loop(task, store, log, listeners, stop, checkpoint)
        return _Trained(claimed, model, store, log, progress, stop) if claimed and log else None

    def _claim(self, overwrite: bool) -> tuple[Claim | None, Any]:
        """The run's directory, which is the first process's, and the data, which that process makes if need be."""
        recipe, folder, found = self.recipe, self.directory / DATA, []

        def begin() -> None:
            claimed = self.held.enter_context(
                claim(self.directory, resume=self.resume, overwrite=overwrite, note=self.tell.note)
            )
            if self.resume:
                claimed.reopen(recipe.index, recipe.make, self.tell.note)
            else:
                claimed.sources = [Source.of(path) for path in recipe.sources()]
                claimed.begin(self._described(claimed.sources), recipe.make)
            found.append((claimed, recipe.open(folder)))

        self.group.agree(begin)
        return found[0] if found else (None, recipe.open(folder))

    def _described(self, sources: Iterable[Source]) -> bytes:
        """`training.json`."""
        settings = self.settings
        return modeldir.json_bytes(
            {"command": settings.command, "settings": to_json(settings), "sources": as_json(sources)}
        )

    def _newest(self, store: CheckpointStore) -> Checkpoint | None:
        checkpoint = newest(store, self.group, self.tell.warn)
        step = f"step {checkpoint.state['step']}" if checkpoint else "the start: nothing was saved"
        self.tell.note(f"going on from {step}")
        return checkpoint

    def _settle_precision(self, task: Task) -> None:
        if self.settings.train.precision == "auto":
            choice = fastest_precision(task, self.settings.train, self.group)
            self.tell.note(f"{choice.precision}: {choice.why}; --precision sets it")
            self.settings = self._with(precision=choice.precision)

    def _open_log(self, claimed: Claim, checkpoint: Checkpoint | None) -> MetricsLog:
        """`metrics.jsonl` as far as a checkpoint knows it."""
        state: Mapping[str, Any] = checkpoint.state if checkpoint else {"log_size": 0, "log_waiting": ""}
        return MetricsLog(
            self.directory / modeldir.METRICS,
            every=self.settings.train.log_every,
            size=state["log_size"],
            waiting=state["log_waiting"],
            held=claimed.finished,
        )

    def _loop(
        self,
        task: Task,
        store: CheckpointStore,
        log: MetricsLog | None,
        listeners: list[Listener],
        stop: StopRequest,
        checkpoint: Checkpoint | None,
    ) -> Progress:
        with self.tell.show(self.recipe.measures) as shown:
            trainer = Trainer(
                task,
                self.settings.train,
                store,
                log,
                listeners=[*listeners, *shown],
                stop=stop,
                group=self.group,
                resume_command=launch.resume_command(self.settings, self.directory),
            )
            if checkpoint:
                trainer.restore(checkpoint)
            return trainer.run()

    # Finishing --------------------------------------------------------------------------------------------

    def finish(self, trained: _Trained) -> None:
        """Judge the best weights exactly, and turn the run directory into a model directory.

        Raises:
            Interrupted: a signal came before the model was written.
        """
        model, log, directory = trained.model, trained.log, self.directory
        step, weights = self._best(trained)
        model.network.load_state_dict(weights)  # rounded where they are published so: it is these that are judged
        measures = model.judge(self.tell.note, trained.stop)
        if measures is None:
            raise Interrupted(
                "stopped before the model was written; the training is done and saved",
                hint=f"finish with: {launch.resume_command(self.settings, directory)}",
                exit_code=trained.stop.exit_code,
            )
        if measures:
            named = {f"{self.recipe.measured_on}_{name}": value for name, value in measures.items()}
            log.evaluated({"step": step, **named, "final": True}, best=True)
        log.flush()
        command = self.settings.command_line(directory)
        made = Made(directory.resolve().name, step, trained.progress.seconds / 60, command)
        publish(
            directory,
            weights,
            model.files(),
            settings=self._described(trained.claimed.sources),
            metrics=log.content(),
            card=model.card(made, measures),
        )
        judged = model.summary(measures) if measures else "not validated"
        use = f"{self.recipe.used_by} -m {shlex.quote(str(directory))}"
        self.tell.note(f"done: step {step} is the best, {judged}\ntry: {use}")

    def _best(self, trained: _Trained) -> tuple[int, dict[str, Tensor]]:
        """The step of the best weights, and these in the number format of the finished model."""
        progress, store = trained.progress, trained.store
        step = progress.best_step if progress.best_step is not None else progress.step
        try:
            weights = store.weights(step)
        except ModelError as error:
            self.tell.warn(f"{error.message}; publishing the last weights instead of the best")
            step = progress.step
            weights = store.weights(step)
        return step, halved(weights, self.tell.warn) if self.settings.train.weights == "fp16" else weights
