"""A run directory from claim to finished model: what all training commands share around the loop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor

from seqgen import modeldir
from seqgen.errors import ModelError, OutputError, UsageError
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
        overwrite (bool): a run may stand there; `begin` will take its place.
        note (Callable[[str], None]): told about leftovers that were removed.

    Raises:
        UsageError: the directory is in use, holds something else, or holds nothing to resume.
        OutputError: it cannot be made or written.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    try:
        stands, empty = _is_run(directory), not directory.is_dir() or not any(directory.iterdir())
    except OSError as error:
        raise OutputError(f"{directory} cannot be read: {error.strerror}", hint="choose another --out") from None
    if resume and not stands:
        raise UsageError(f"{directory}: there is no run to resume", hint="leave out --resume to start one")
    if not (empty or stands or _is_leftover(directory)):
        raise UsageError(f"{directory} is not empty and holds no run", hint="choose another --out")
    if stands and not (resume or overwrite):
        raise UsageError(f"{directory} holds a run already", hint="--resume goes on with it, --overwrite replaces it")
    if resume and (directory / modeldir.MANIFEST).is_file() and not modeldir.checkpoints(directory):
        raise UsageError(
            f"{directory} is finished, and its checkpoints are gone: there is nothing to go on from",
            hint="--overwrite trains it again",
        )
    parent_is_new = not directory.parent.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = RunLock(directory).__enter__()
    except OSError as error:
        raise OutputError(f"{directory} cannot be written: {error.strerror}", hint="choose another --out") from None
    try:
        if resume:  # its files change from here on; until it is published again its newest checkpoint answers
            (directory / modeldir.MANIFEST).unlink(missing_ok=True)
        if removed := modeldir.remove_leftovers(directory):
            note(f"removed {removed} unfinished files of a run that was killed while saving")
        yield
    except OSError as error:
        where = error.filename or directory
        raise OutputError(f"{where}: {error.strerror}", hint="make room, then start again, or --resume") from None
    finally:
        lock.__exit__()
        with suppress(OSError):  # what failed before it began leaves no empty folders behind
            directory.rmdir()
            if parent_is_new:
                directory.parent.rmdir()


def begin(directory: Path, settings: bytes, prepare: Callable[[Path], object]) -> None:
    """Begin a run in a claimed directory; a run that stood there goes once the new one's data is made.

    Args:
        directory (Path): the run's.
        settings (bytes): `training.json`.
        prepare (Callable[[Path], object]): makes the data in a new folder; if it raises, all is as before.
    """
    staged = directory / f".tmp-new-{os.getpid()}"
    try:
        prepare(staged)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    new = not (directory / SETTINGS).exists()
    try:
        _remove_run(directory)
        modeldir.write_file(directory / SETTINGS, settings)  # from here on --resume goes on
        staged.rename(directory / DATA)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        if new:
            (directory / SETTINGS).unlink(missing_ok=True)
        raise


def _is_run(directory: Path) -> bool:
    """Whether a run of seqgen stands there: somebody else's `training.json` does not make one."""
    try:
        data = modeldir.read_json(directory / SETTINGS)
    except ModelError:
        return False
    return "command" in data and "settings" in data


def _is_leftover(directory: Path) -> bool:
    """Whether nothing stands there but what a kill left before the run began."""
    return all(path.name == ".lock" or path.name.startswith(".tmp-") for path in directory.iterdir())


def _remove_run(directory: Path) -> None:
    """All but the settings, without which a kill would leave a directory that is no run."""
    (directory / modeldir.MANIFEST).unlink(missing_ok=True)
    for name in ("checkpoints", DATA):  # in one move each: half of one would be taken for damage
        with suppress(FileNotFoundError):
            (directory / name).rename(directory / f".tmp-{name}-{os.getpid()}")
    files = [METRICS, modeldir.CONFIG, modeldir.WEIGHTS, modeldir.CARD]
    for name in [*files, *modeldir.TOKENIZERS]:
        (directory / name).unlink(missing_ok=True)
    for name in (f".tmp-checkpoints-{os.getpid()}", f".tmp-{DATA}-{os.getpid()}", "tensorboard"):
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
        modeldir.CARD: card.encode(errors="surrogateescape"),
    }
    try:
        modeldir.publish(directory, whole)
    except OSError as error:
        raise OutputError(
            f"{directory}: the model could not be written: {error.strerror}", hint="make room, then --resume"
        ) from None
