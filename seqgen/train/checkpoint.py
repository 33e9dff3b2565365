"""The state of a run on disk: written whole or not at all, verified before it is used.

A checkpoint is a model directory (`seqgen.modeldir`) with two more files: `training.safetensors`, the tensors that
only training needs, and `state.json`, where the run stands. No random state is among them: `seqgen.seeds`
derives every draw from the step. There is no pickle.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.errors import ModelError, NonFiniteError, UsageError
from seqgen.train.distributed import Group

TRAINING = "training.safetensors"
STATE = "state.json"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run continues from.

    Args:
        weights (dict[str, Tensor]): the weights that are evaluated: the averaged ones where they are kept.
        training (dict[str, Tensor]): everything else that is a tensor.
        state (dict[str, Any]): everything else.
    """

    weights: dict[str, Tensor]
    training: dict[str, Tensor]
    state: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run directory.

    Args:
        directory (Path): the run's directory.
        model_files (Mapping[str, bytes]): `config.json`, the tokenizer: what makes a checkpoint a model.
        saved (Callable[[int], None]): told the step of each save.
    """

    def __init__(
        self, directory: Path, model_files: Mapping[str, bytes], saved: Callable[[int], None] = lambda step: None
    ) -> None:
        self.directory, self._saved = directory, saved
        self._model_files = dict(model_files)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step stands."""
        return self.directory / "checkpoints" / f"step-{step:08d}"

    def save(self, step: int, checkpoint: Checkpoint, *, best: int | None) -> None:
        """Write a checkpoint, then delete old ones: the newest two stay, and the best.

        One of the same step, from before a fall-back or an evaluation, stays until the new one is whole.

        Raises:
            OSError: it cannot be written; those that stand are as they were.
            NonFiniteError: a tensor holds infinities or not-a-numbers.
        """
        for name, tensor in (checkpoint.weights | checkpoint.training).items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise NonFiniteError(f"step {step}: {name} is not finite, so this state is not saved")
        target = self.path(step)
        files = self._model_files | {
            modeldir.WEIGHTS: modeldir.tensors_to_bytes(checkpoint.weights),
            TRAINING: modeldir.tensors_to_bytes(checkpoint.training),
            STATE: modeldir.json_bytes(checkpoint.state),
        }
        modeldir.write_directory(target, files)
        self._saved(step)
        standing = modeldir.checkpoints(self.directory)
        for newer in standing[: standing.index(target)]:  # the run has gone back behind them
            modeldir.remove_directory(newer)
        for old in standing[standing.index(target) :][KEPT:]:
            if best is None or old != self.path(best):
                modeldir.remove_directory(old)

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None when there is none at all.

        Raises:
            ModelError: there are checkpoints, and every one of them is damaged.
        """
        candidates = modeldir.checkpoints(self.directory)
        for path in candidates:
            try:
                return self._read(path)
            except ModelError as error:
                warn(f"{error.message}; trying an older checkpoint")
        if candidates:
            raise ModelError(
                f"{self.directory}: none of the {len(candidates)} checkpoints is whole",
                hint="start again with --overwrite",
            )
        return None

    def weights(self, step: int) -> dict[str, Tensor]:
        """The judged weights of a checkpoint.

        Raises:
            ModelError: the checkpoint is damaged.
        """
        modeldir.verify(self.path(step))
        return modeldir.read_tensors(self.path(step) / modeldir.WEIGHTS)

    def read(self, step: int) -> Checkpoint:
        """The checkpoint of a step.

        Raises:
            ModelError: it is damaged.
        """
        return self._read(self.path(step))

    def _read(self, path: Path) -> Checkpoint:
        modeldir.verify(path)
        return Checkpoint(
            weights=modeldir.read_tensors(path / modeldir.WEIGHTS),
            training=modeldir.read_tensors(path / TRAINING),
            state=modeldir.read_json(path / STATE),
        )


def newest(store: CheckpointStore, group: Group, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies, the same one in every process; raises as `CheckpointStore.newest` does."""
    read: list[Checkpoint] = []

    def find() -> int | None:
        if checkpoint := store.newest(warn):
            read.append(checkpoint)
            return int(checkpoint.state["step"])
        return None

    step = group.agree(find)
    if step is None:
        return None
    return read[0] if read else store.read(step)


class RunLock:
    """Keeps a second run out of a directory; the kernel lets go of it when the process ends, however it ends.

    Args:
        directory (Path): the run's directory, which must exist.

    Raises:
        UsageError: another process trains there.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / ".lock"

    def __enter__(self) -> RunLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise UsageError(
                f"{self._path.parent}: process {owner or 'unknown'} is training here",
                hint="wait for it, stop it, or choose another --out",
            ) from None
        if not self._path.exists() or os.fstat(self._descriptor).st_ino != self._path.stat().st_ino:
            os.close(self._descriptor)  # its owner finished, and took the file away, between our open and our lock
            return self.__enter__()
        with suppress(OSError):  # a full disk: a run may have room for its next steps, if not for its number here
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
