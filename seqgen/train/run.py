"""A run directory from claim to finished model: what all training commands share around the loop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from seqgen import modeldir
from seqgen.errors import OutputError, UsageError
from seqgen.train.checkpoint import CheckpointStore, RunLock

SETTINGS = "training.json"
METRICS = "metrics.jsonl"
DATA = "data"


@contextmanager
def claim(directory: Path, *, resume: bool, overwrite: bool, note: Callable[[str], None]) -> Iterator[None]:
    """Make a run directory ours for the length of a `with`.

    Args:
        directory (Path): made if it is not there.
        resume (bool): a run must stand there, and stays.
        overwrite (bool): a run may stand there, and goes; files that are not a run's stay.
        note (Callable[[str], None]): told about leftovers that were removed.

    Raises:
        UsageError: the directory is in use, holds something else, or holds nothing to resume.
        OutputError: it cannot be made or written.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    stands = (directory / SETTINGS).is_file()
    if resume and not stands:
        raise UsageError(f"{directory}: there is no run to resume", hint="leave out --resume to start one")
    if directory.is_dir() and any(directory.iterdir()) and not stands:
        raise UsageError(f"{directory} is not empty and holds no run", hint="choose another --out")
    if stands and not (resume or overwrite):
        raise UsageError(f"{directory} holds a run already", hint="--resume goes on with it, --overwrite replaces it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = RunLock(directory).__enter__()
    except OSError as error:
        raise OutputError(f"{directory} cannot be written: {error.strerror}", hint="choose another --out") from None
    try:
        if overwrite and stands:
            _remove_run(directory)
        if removed := modeldir.remove_leftovers(directory):
            note(f"removed {removed} unfinished files of a run that was killed while saving")
        yield
    finally:
        lock.__exit__()


def _remove_run(directory: Path) -> None:
    files = [modeldir.MANIFEST, SETTINGS, METRICS, modeldir.CONFIG, modeldir.WEIGHTS, modeldir.CARD]
    for name in [*files, "tokenizer.json", "tokenizer.model"]:
        (directory / name).unlink(missing_ok=True)
    for name in (DATA, "checkpoints", "tensorboard"):
        shutil.rmtree(directory / name, ignore_errors=True)


def publish(directory: Path, store: CheckpointStore, step: int, files: Mapping[str, bytes], card: str) -> None:
    """Turn a run directory into a model directory with the weights of one of its checkpoints.

    Args:
        directory (Path): the run's.
        store (CheckpointStore): its checkpoints.
        step (int): which checkpoint.
        files (Mapping[str, bytes]): `config.json`, tokenizer.
        card (str): the model card.

    Raises:
        OutputError: the files cannot be written.
        ModelError: the checkpoint is damaged.
    """
    whole = {
        **files,
        modeldir.WEIGHTS: store.best_weights(step),
        SETTINGS: (directory / SETTINGS).read_bytes(),
        METRICS: (directory / METRICS).read_bytes(),
        modeldir.CARD: card.encode(),
    }
    try:
        modeldir.publish(directory, whole)
    except OSError as error:
        raise OutputError(
            f"{directory}: the model could not be written: {error.strerror}", hint="make room, then --resume"
        ) from None
