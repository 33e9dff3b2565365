"""A run directory from claim to finished model: what all training commands share around the loop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from seqgen import modeldir
from seqgen.errors import OutputError, UsageError
from seqgen.train.checkpoint import RunLock

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
        if not (directory / SETTINGS).is_file():  # unusable text must not leave a folder in the way of the next try
            shutil.rmtree(directory / DATA, ignore_errors=True)
        lock.__exit__()
        if not any(directory.iterdir()):
            directory.rmdir()


def _remove_run(directory: Path) -> None:
    files = [modeldir.MANIFEST, SETTINGS, METRICS, modeldir.CONFIG, modeldir.WEIGHTS, modeldir.CARD]
    for name in [*files, "tokenizer.json", "tokenizer.model"]:
        (directory / name).unlink(missing_ok=True)
    for name in (DATA, "checkpoints", "tensorboard"):
        shutil.rmtree(directory / name, ignore_errors=True)


def publish(directory: Path, weights: Mapping[str, Tensor], files: Mapping[str, bytes], card: str) -> None:
    """Turn a run directory into a model directory.

    Args:
        directory (Path): the run's.
        weights (Mapping[str, Tensor]): the weights to publish.
        files (Mapping[str, bytes]): `config.json`, tokenizer.
        card (str): the model card.

    Raises:
        OutputError: the files cannot be written.
    """
    whole = {
        **files,
        modeldir.WEIGHTS: modeldir.tensors_to_bytes(weights),
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
