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
import shutil
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from seqgen.config import TrainConfig
from seqgen.errors import CollapsedError, Interrupted, NonFiniteError, OutputError, TrainingError
from seqgen.seeds import derive
from seqgen.train import runtime
from seqgen.train.budget import Pace, first_plan, revise, warmup_of
from seqgen.train.checkpoint import Checkpoint, CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, Listeners, MetricsLog
from seqgen.train.optim import learning_rate
from seqgen.train.players import Players, below
from seqgen.train.progress import Progress
from seqgen.train.runtime import StopRequest
from seqgen.train.task import Task
from seqgen.wording import counted

# A run that went wrong so often has the wrong settings.
MOST_ROLLBACKS = 3
# Steps after which a time budget is looked at again; a machine that was busy at the start may not stay so.
REPLAN_EVERY = 100
# A share of the steps: a plan that moves by less is followed without a word.
WORTH_A_NOTE = 0.1


class Trainer:
    """Runs one task.

    Args:
        task (Task): what is learned. Its players are on the group's device already.
        config (TrainConfig): for how long and how fast; `precision` is settled, not `auto`.
        store (CheckpointStore): where the state goes.
        log (MetricsLog | None): where the numbers go; only the first process of a group has one.
        listeners (list[Listener]): who else hears of the run; `log` is not among them.
        stop (StopRequest): looked at between steps and within evaluations.
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
        budget = [config.steps, config.epochs, config.minutes, config.warmup_steps]
        self.progress = Progress(plan=first_plan(config, task.steps_per_epoch), budget=budget)
        self._pace = Pace()
        self._since = time.perf_counter()
        self._saved_step = -1
        self._outdated = False  # what is saved of this step is not all that should be
        self._best_on_disk: tuple[int | None, dict[str, Any]] = (None, {})
        group.agree(self._check_space)

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
        self.listeners.started(self.progress.step, self._total_steps)
        self._since = time.perf_counter()
        self._fit_warmup()
        while True:
            progress, done = self.progress, self._done()
            stopping = self._heard() > 0
            due = done or progress.step % config.eval_every == 0
            if due and progress.evaluated_step != progress.step and not stopping:
                try:
                    stopping = not self._evaluate()
                except CollapsedError as collapse:
                    self._roll_back(collapse)
                    continue
                done = self._done()  # the plan or the patience may have changed
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

    @property
    def _total_steps(self) -> int | None:
        return self.progress.plan.total_steps if self.progress.plan else None

    def _done(self) -> bool:
        patience, progress = self.config.patience, self.progress
        out_of_patience = 0 < patience <= progress.evaluations_since_best
        return out_of_patience or (progress.plan is not None and progress.step >= progress.plan.total_steps)

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
            self._plan()
        record |= {"seconds": progress.seconds, "units_per_second": units / seconds}
        self.listeners.stepped(record, self._total_steps)

    def _step(self) -> tuple[dict[str, Any], int]:
        """One optimizer step of every player; its record, and how many units the batch held."""
        task, config, step = self.task, self.config, self.progress.step
        again = self.progress.rollbacks
        torch.manual_seed(derive(config.seed, "step", step, self.group.rank, *([again] if again else [])))
        with runtime.autocast(config.precision, self.group.device):
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
        good, hint = f"the last good checkpoint is step {self._saved_step}", "go on from there with a smaller step:"
        hint = f"{hint} {self.resume_command} --lr {self.config.lr / 4:g}"
        if self._saved_step <= 0:  # a run that fails so early leaves no directory
            good = "none was saved yet" if self._saved_step < 0 else "nothing was learned yet"
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
        self._forget_lost_best()
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
            self._plan()
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
        self._forget_lost_best()
        best, seconds, again = self.progress.best_step, self.progress.seconds, self.progress.rollbacks + 1
        newest = self._saved_step
        if not collapse.roll_back or best is None or again > MOST_ROLLBACKS:
            raise collapse
        self.listeners.noted(f"{collapse.message}; back to step {best}, at half the learning rate")
        self.restore(self.store.read(best))
        self.progress.seconds, self.progress.rollbacks = seconds, again
        self._saved_step = newest  # a run resumed now would begin there
        self._save(again=True)  # what is saved does not know yet that this is another try

    def _plan(self) -> None:
        """Make or correct the plan of a time budget."""
        progress, before = self.progress, self.progress.plan
        progress.plan = revise(self.config, before, progress.step, progress.seconds, self._pace)
        if before and progress.plan:
            then, now = before.total_steps, progress.plan.total_steps
            if abs(now - then) > WORTH_A_NOTE * then:
                self.listeners.noted(f"the pace changed: {counted(now, 'step')} fit the time, not {then}")
        self._fit_warmup()

    def _fit_warmup(self) -> None:
        """Cut the warm-up to its share of the plan while it lasts; it never grows, for the rate would fall again."""
        progress, wanted = self.progress, self.config.warmup_steps
        if progress.plan is None or progress.step > (
            wanted if progress.warmup_steps is None else progress.warmup_steps
        ):
            return
        most = warmup_of(self.config, progress.plan.total_steps)
        if progress.warmup_steps is None and most < wanted:
            total = progress.plan.total_steps
            self.listeners.noted(f"the learning rate rises for {most} steps, not {wanted}: this run has {total}")
        progress.warmup_steps = most if progress.warmup_steps is None else min(most, progress.warmup_steps)

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
        progress = Progress.from_state(checkpoint.state)
        if progress.budget != self.progress.budget:
            progress.plan, progress.budget = self.progress.plan, self.progress.budget
            progress.warmup_steps = None
        self.progress = progress
        self._saved_step = progress.step
        best = progress.best_step
        stands = self.group.agree(lambda: best is not None and self.store.path(best).is_dir())
        self._best_on_disk = (progress.best_step, progress.best) if stands else (None, {})
        self._forget_lost_best()
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
        """Save the state, `again` even if this step is saved; a full disk costs a message, at the end an error."""
        progress = self.progress
        self._outdated |= again
        if self._saved_step == progress.step and not self._outdated:
            return
        self._forget_lost_best()
        checkpoint = self._checkpoint()  # by all processes, for it gathers what each carries
        problem = self.group.agree(lambda: self._write(checkpoint))
        if problem is None:
            self._saved_step, self._outdated = progress.step, False
            self._best_on_disk = progress.best_step, progress.best
            return
        kept = f"step {self._saved_step} stands" if self._saved_step >= 0 else "nothing is saved yet"
        kept += " as it was" if self._saved_step == progress.step else ""
        message = f"step {progress.step} could not be saved: {problem} ({kept})"
        if last:
            raise OutputError(message, hint=f"make room, then: {self.resume_command}")
        self.listeners.noted(f"{message}; training goes on")

    def _forget_lost_best(self) -> None:
        """A best whose save failed is gone once the weights have moved on; then the best before it stands."""
        if self.progress.best_step not in (self._best_on_disk[0], self.progress.step):
            self.progress.best_step, self.progress.best = self._best_on_disk

    def _write(self, checkpoint: Checkpoint) -> str | None:
        """Write the log and a checkpoint; what went wrong, or None."""
        try:
            if self.log:
                self.log.flush()
            self.store.save(self.progress.step, checkpoint, best=self.progress.best_step)
            if self.log:
                self.log.release()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _check_space(self) -> None:
        """Refuse to start what could not be saved: room for three checkpoints."""
        values = sum(p.numel() for player in self.task.players.values() for p in player.parameters())
        needed = 3 * 4 * values * (3 + bool(self.config.ema))  # fp32 weights and two moments, and the average
        free = shutil.disk_usage(self.store.directory).free
        if free < needed:
            raise OutputError(
                f"{self.store.directory}: {free / 2**20:.1f} MiB free, three checkpoints take {needed / 2**20:.1f} MiB",
                hint="make room, or choose another --out",
            )
