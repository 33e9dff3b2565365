"""The training loop: the only one, for every task.

A step reads the batch of that step, then lets each player in turn compute its loss, measure and clip its gradient,
and move its weights. A language model has one player, a GAN two. Everything that a step does is a function of the
settings, the weights and the step's number, so a run that was interrupted anywhere continues bit for bit:

    while not done:
        evaluate and save when due; stop when asked
        seed(step); batch(step)
        for each player: loss, backward, clip, refuse what is not finite, update
        log

`seqgen.train.task` says what the loop needs to know of what is learned; `seqgen.tasks` has the real ones.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch

from seqgen.config import TrainConfig
from seqgen.errors import CollapsedError, Interrupted, NonFiniteError, TrainingError
from seqgen.seeds import derive
from seqgen.train import machine
from seqgen.train.checkpoint import Checkpoint, CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, Listeners, MetricsLog
from seqgen.train.optim import learning_rate
from seqgen.train.players import Players, below
from seqgen.train.progress import Pace, Progress
from seqgen.train.saving import Saver
from seqgen.train.stop import StopRequest
from seqgen.train.task import Task

# A run that went wrong so often has the wrong settings.
MOST_ROLLBACKS = 3
# Steps after which a time budget is checked again; a machine that was busy at the start may not stay so.
REPLAN_EVERY = 100


class Trainer:
    """Runs one task.

    Args:
        task (Task): what is learned. Its players are on the group's device already.
        config (TrainConfig): for how long and how fast; `precision` is settled, not `auto`.
        store (CheckpointStore): where the state goes.
        log (MetricsLog | None): where the numbers go; only the first process of a group has one.
        listeners (list[Listener]): who else hears of the run; `log` is not among them.
        stop (StopRequest): asked between steps and within evaluations.
        group (Group): the processes of the run.
        resume_command (str): what a person types to go on after an interruption.

    Raises:
        OutputError: there is no room for the checkpoints.
    """

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        store: CheckpointStore,
        log: MetricsLog | None,
        *,
        listeners: list[Listener],
        stop: StopRequest,
        group: Group,
        resume_command: str,
    ) -> None:
        self.task, self.config, self.store, self.log = task, config, store, log
        self.listeners = Listeners([*([log] if log else []), *listeners])
        self.stop, self.group, self.resume_command = stop, group, resume_command
        self.players = Players(task.players, config, group)
        self.progress = Progress.begin(config, task.steps_per_epoch)
        self._pace = Pace()
        self._since = time.perf_counter()
        self._saver = Saver(store, log, group, self.listeners.noted, resume_command)
        values = sum(p.numel() for player in task.players.values() for p in player.parameters())
        group.agree(lambda: self._saver.check_space(4 * values * (3 + bool(config.ema))))  # weights, moments, average

    # The run ----------------------------------------------------------------------------------------------

    def run(self) -> Progress:
        """Train until the budget or the patience is used up.

        Raises:
            Interrupted: a signal came; the state is saved.
            NonFiniteError: a loss or gradient is not finite; the weights were not touched.
            CollapsedError: the task found that its players went wrong.
            OutputError: the last state could not be saved.
        """
        config = self.config
        self.listeners.started(self.progress.step, self.progress.total_steps)
        self._since = time.perf_counter()
        self._tell(self.progress.fit_warmup(config))
        while True:
            progress = self.progress
            done = progress.done(config.patience)
            stopping = self._heard() > 0
            due = done or progress.step % config.eval_every == 0
            if due and progress.evaluated_step != progress.step and not stopping:
                try:
                    stopping = not self._evaluate()
                except CollapsedError as collapse:
                    self._roll_back(collapse)
                    continue
                done = progress.done(config.patience)  # the plan or the patience may have changed
            if stopping or done or progress.step % config.save_every == 0:
                self._save(last=stopping or done)
            if stopping:
                raise Interrupted(
                    f"stopped at step {progress.step}, saved in {self.store.path(progress.step)}",
                    hint=f"go on with: {self.resume_command}",
                    exit_code=128 + self._heard(),
                )
            if done:
                return progress
            self._timed_step()

    def _heard(self) -> int:
        """The signal that asks the run to stop, whichever process heard it; 0 for none."""
        return int(self.group.most((self.stop.signal or 0) if self.stop() else 0))

    def _tell(self, notes: Iterable[str]) -> None:
        for note in notes:
            self.listeners.noted(note)

    def _timed_step(self) -> None:
        progress, start = self.progress, time.perf_counter()
        try:
            record, units = self._step()
        except (RuntimeError, NonFiniteError) as error:
            raise self._explained(error) from error
        seconds, spent = self.group.agree(lambda: (time.perf_counter() - start, self._spent()))
        progress.step += 1
        progress.seconds += spent
        self._pace.took(seconds)
        if progress.plan is None or progress.step % REPLAN_EVERY == 0:
            self._tell(progress.revise_plan(self.config, self._pace))
        record |= {"seconds": progress.seconds, "units_per_second": units / seconds}
        self.listeners.stepped(record, progress.total_steps)

    def _step(self) -> tuple[dict[str, Any], int]:
        """One optimizer step of every player; its record, and how many units the batch held."""
        task, config, step = self.task, self.config, self.progress.step
        again = self.progress.rollbacks
        torch.manual_seed(derive(config.seed, "step", step, self.group.rank, *([again] if again else [])))
        with machine.autocast(config.precision, self.group.device):
            units = task.prepare(step)
        done = self.progress.plan.progress(step) if self.progress.plan else 0.0
        warmup = config.warmup_steps if self.progress.warmup_steps is None else self.progress.warmup_steps
        lr = learning_rate(config, step, done, warmup) * 0.5**again
        losses: dict[str, float] = {}
        norms: dict[str, float] = {}
        for name in task.players:
            if pace := task.pace(name, step):
                share = partial(task.loss, name, parts=config.grad_accumulation)
                losses[name], norms[name] = self.players.turn(name, share, lr * pace, step)
        record = {"step": step + 1, "epoch": round((step + 1) / task.steps_per_epoch, 4), **task.measures(losses)}
        for name, norm in norms.items():
            record["grad_norm" if len(task.players) == 1 else f"{name}_grad_norm"] = norm
        return record | {"lr": lr}, units

    def _explained(self, error: Exception) -> Exception:
        """A failed step with what to do about it; other errors as they are."""
        good, hint = f"the last good checkpoint is step {self._saver.step}", "go on from there with a smaller step:"
        hint = f"{hint} {self.resume_command} --lr {self.config.lr / 4:g}"
        if self._saver.step <= 0:  # a run that fails so early leaves no directory
            good = "none was saved yet" if self._saver.step < 0 else "nothing was learned yet"
            hint = f"try a smaller step: --lr {self.config.lr / 4:g}"
        if isinstance(error, NonFiniteError):
            return NonFiniteError(f"{error.message}; {good}", hint=hint)
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            hint = "the same step in parts: --grad-accumulation 2; or less at a time: --bptt, --batch-size"
            return TrainingError(f"step {self.progress.step + 1} does not fit into memory; {good}", hint=hint)
        return error

    # Judging ----------------------------------------------------------------------------------------------

    def _evaluate(self) -> bool:
        """Judge, keep the best, correct the plan; False when a signal came before the end."""
        progress, start = self.progress, time.perf_counter()
        measures, text = self.group.agree(self._judged)
        if measures is None:
            return False
        self._saver.forget_lost_best(self.progress)
        progress.evaluated_step = progress.step
        best = self._is_best(measures)
        progress.evaluations_since_best = 0 if best else progress.evaluations_since_best + 1
        if best:
            progress.best_step, progress.best = progress.step, measures
        progress.seconds += self.group.agree(self._spent)
        if measures:
            self.listeners.evaluated({"step": progress.step, **measures, "seconds": progress.seconds}, best=best)
        if text is not None:
            self.listeners.sampled(text)
        if best:
            self._save(again=True)  # saved before it was judged, it lacks batch norm's statistics, measured only then
        self._pace.evaluation_seconds = self.group.agree(lambda: time.perf_counter() - start)
        if progress.plan is not None:
            self._tell(progress.revise_plan(self.config, self._pace))
        return True

    def _judged(self) -> tuple[dict[str, Any] | None, str | None]:
        """The measures of the players as they are, None after a signal, and a sample."""
        try:
            with self.players.judged():
                measures = self.task.evaluate(self.stop)
                seed = derive(self.config.seed, "sample", self.progress.step)
                return measures, self.task.sample(seed) if measures is not None else None
        except NonFiniteError as error:
            raise self._explained(error) from error

    def _is_best(self, measures: Mapping[str, Any]) -> bool:
        if (criterion := self.task.criterion) is None:
            return True
        name = criterion.removeprefix("-")
        sign = -1.0 if name != criterion else 1.0
        return bool(sign * measures[name] < sign * self.progress.best.get(name, sign * math.inf))

    def _roll_back(self, collapse: CollapsedError) -> None:
        """Go on from the best state, at half the learning rate and with other random numbers.

        Raises:
            CollapsedError: that is not wanted, there is no such state, or it was done too often.
        """
        self._saver.forget_lost_best(self.progress)
        best, seconds, again = self.progress.best_step, self.progress.seconds, self.progress.rollbacks + 1
        newest = self._saver.step
        if not collapse.roll_back or best is None or again > MOST_ROLLBACKS:
            raise collapse
        self.listeners.noted(f"{collapse.message}; back to step {best}, at half the learning rate")
        self.restore(self.store.read(best))
        self.progress.seconds, self.progress.rollbacks = seconds, again
        self._saver.step = newest  # a run resumed now would begin there
        self._save(again=True)  # what is saved does not know yet that this is another try

    def _spent(self) -> float:
        """Seconds since this was last asked."""
        before, self._since = self._since, time.perf_counter()
        return self._since - before

    # State ------------------------------------------------------------------------------------------------

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stand where a checkpoint stands. A budget that was changed since then makes a new plan.

        Raises:
            TrainingError: the checkpoint belongs to other settings.
        """
        self.progress = progress = Progress.from_state(checkpoint.state, self.progress)
        self._saver.restored(progress)
        try:
            self.players.load(checkpoint.weights, checkpoint.training)
            self.task.load_state(below("task/", checkpoint.training))
        except (RuntimeError, KeyError) as error:
            raise TrainingError(f"step {progress.step} does not fit these settings: {error}") from None

    def _checkpoint(self) -> Checkpoint:
        weights, training = self.players.tensors()
        training |= {f"task/{name}": self.group.gather(tensor) for name, tensor in self.task.state().items()}
        state = dataclasses.asdict(self.progress)
        if self.log:
            state |= {"log_size": self.log.size, "log_waiting": self.log.waiting}
        return Checkpoint(weights, training, state)

    def _save(self, *, last: bool = False, again: bool = False) -> None:
        """Save the state, `again` even if this step is saved."""
        self._saver.save(self.progress, self._checkpoint, last=last, again=again)
