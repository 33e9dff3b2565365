"""What of a run is on disk: when it is saved again, and which state is the best that can be returned to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from seqgen.errors import OutputError
from seqgen.train.checkpoint import Checkpoint, CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import MetricsLog
from seqgen.train.progress import Progress


class Saver:
    """Saves the states of a run.

    Args:
        store (CheckpointStore): where they go.
        log (MetricsLog | None): written before a state is; only the first process of a group has one.
        group (Group): the processes of the run.
        note (Callable[[str], None]): told when a state could not be saved.
        resume_command (str): what a person types to continue from the last state.

    Attributes:
        step (int): of the newest state that is saved; -1 before the first.
    """

    def __init__(
        self,
        store: CheckpointStore,
        log: MetricsLog | None,
        group: Group,
        note: Callable[[str], None],
        resume_command: str,
    ) -> None:
        self._store, self._log, self._group, self._note, self._resume = store, log, group, note, resume_command
        self.step = -1
        self._outdated = False  # what is saved of this step is not all that should be
        self._best: tuple[int | None, dict[str, Any]] = (None, {})

    def restored(self, progress: Progress) -> None:
        """The run is now where a checkpoint stands, whose progress this is."""
        self.step, best = progress.step, progress.best_step
        stands = self._group.agree(lambda: best is not None and self._store.path(best).is_dir())
        self._best = (best, progress.best) if stands else (None, {})
        self.forget_lost_best(progress)

    def save(self, progress: Progress, checkpoint: Callable[[], Checkpoint], *, last: bool, again: bool) -> None:
        """Save a state; a full disk costs a message.

        Args:
            progress (Progress): where the run stands.
            checkpoint (Callable[[], Checkpoint]): gathers its state from all processes.
            last (bool): nothing comes after it.
            again (bool): even if a state of this step is saved.

        Raises:
            OutputError: the last state could not be saved.
        """
        self._outdated |= again
        if self.step == progress.step and not self._outdated:
            return
        self.forget_lost_best(progress)
        state = checkpoint()
        problem = self._group.agree(lambda: self._write(progress, state))
        if problem is None:
            self.step, self._outdated = progress.step, False
            self._best = progress.best_step, progress.best
            return
        kept = f"step {self.step} stands" if self.step >= 0 else "nothing is saved yet"
        kept += " as it was" if self.step == progress.step else ""
        message = f"step {progress.step} could not be saved: {problem} ({kept})"
        if last:
            raise OutputError(message, hint=f"make room, then: {self._resume}")
        self._note(f"{message}; training goes on")

    def forget_lost_best(self, progress: Progress) -> None:
        """A best whose save failed is gone once the weights have moved on; then the best before it stands."""
        if progress.best_step not in (self._best[0], progress.step):
            progress.best_step, progress.best = self._best

    def _write(self, progress: Progress, checkpoint: Checkpoint) -> str | None:
        """Write the log and a checkpoint; what went wrong, or None."""
        try:
            if self._log:
                self._log.flush()
            self._store.save(progress.step, checkpoint, best=progress.best_step)
            if self._log:
                self._log.release()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def check_space(self, checkpoint_bytes: int) -> None:
        """Refuse to start what could not be saved: three checkpoints have to fit.

        Raises:
            OutputError: there is no room for them.
        """
        directory = self._store.directory
        needed, free = 3 * checkpoint_bytes, shutil.disk_usage(directory).free
        if free < needed:
            raise OutputError(
                f"{directory}: {free / 2**20:.1f} MiB free, three checkpoints take {needed / 2**20:.1f} MiB",
                hint="make room, or choose another --out",
            )
