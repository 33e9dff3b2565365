"""A run directory from claim to finished model: what all training commands share around the loop.

What stands in a directory, a finished model or a run that is to be replaced, stays until there is something better: a
step that was taken and saved. Whatever fails before that leaves all as it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from torch import Tensor

from seqgen import modeldir
from seqgen.data.sources import Source, from_json, require_unchanged
from seqgen.errors import Interrupted, OutputError, UsageError
from seqgen.train.checkpoint import RunLock

DATA = "data"
TENSORBOARD = "tensorboard"
# All that a run writes but its settings.
PARTS = (
    *(modeldir.MANIFEST, modeldir.CONFIG, modeldir.WEIGHTS, modeldir.CARD, *modeldir.TOKENIZERS),
    *(modeldir.METRICS, "checkpoints", DATA, TENSORBOARD),
)
# Where a run waits that another is about to replace.
REPLACED = ".old-run"


class Claim:
    """A run directory that is ours, for the length of a `with`; `claim` makes it.

    Args:
        directory (Path): the run's.
        finished (bool): whether a finished model stands there that is to be trained further.
    """

    def __init__(self, directory: Path, *, finished: bool) -> None:
        self.directory, self.finished = directory, finished
        self.sources: list[Source] = []
        self._begun = False  # a run without a saved step, which goes if it fails
        self._settings: bytes | None = None

    def begin(self, settings: bytes, prepare: Callable[[Path], object]) -> None:
        """Begin a run; one that stood there waits aside until the new one has saved a step.

        Args:
            settings (bytes): `training.json`.
            prepare (Callable[[Path], object]): makes the data in a new folder; if it raises, all is as before.
        """
        with self._made(prepare) as made:
            self._begun = True
            _set_aside(self.directory)
            modeldir.write_file(self.directory / modeldir.SETTINGS, settings)  # from here on --resume goes on
            made.rename(self.directory / DATA)

    def reopen(self, index: str, prepare: Callable[[Path], object], note: Callable[[str], None]) -> None:
        """See to the data of a run that goes on: what is whole is kept, what is lost is made of the same or not at all.

        Args:
            index (str): the file that is there when the data is whole.
            prepare (Callable[[Path], object]): makes the data in a new folder.
            note (Callable[[str], None]): told which sources have changed, where that does not matter.

        Raises:
            DataError: the data is lost, and what it was made from has changed.
        """
        folder = self.directory / DATA
        self.sources = from_json(modeldir.read_json(self.directory / modeldir.SETTINGS))
        if (folder / index).is_file():
            for source in self.sources:
                if source.exists and source.changed:
                    note(f"{source.path} has changed; the run goes on with what it read at its beginning")
            return
        require_unchanged(self.sources, folder)
        with self._made(prepare) as made:
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)

    @contextmanager
    def _made(self, prepare: Callable[[Path], object]) -> Iterator[Path]:
        """Data in a temporary folder, which goes if they do not become those of the run."""
        staged = self.directory / f".tmp-new-{os.getpid()}"
        try:
            prepare(staged)
            yield staged
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def settle(self, settings: bytes) -> None:
        """Write `training.json`; those of a finished model are its own until a new step is saved."""
        if self.finished:
            self._settings = settings
        else:
            modeldir.write_file(self.directory / modeldir.SETTINGS, settings)

    def saved(self, step: int) -> None:
        """A checkpoint was saved: there is something to keep, and it is newer than a finished model that stood here."""
        if step:
            self.keep()
        if self._settings is not None:
            (self.directory / modeldir.MANIFEST).unlink(missing_ok=True)
            with suppress(OSError):  # a full disk: tried again with the next save
                modeldir.write_file(self.directory / modeldir.SETTINGS, self._settings)
                self._settings = None

    def keep(self) -> None:
        """The run stays, whatever comes; the one that it replaces goes."""
        self._begun = False
        modeldir.remove_directory(self.directory / REPLACED)

    def undo(self) -> None:
        """Leave all as it was before a run that saved no step."""
        if self._begun:
            _remove(self.directory, (*PARTS, modeldir.SETTINGS))
            _put_back(self.directory)


@contextmanager
def claim(directory: Path, *, resume: bool, overwrite: bool, note: Callable[[str], None]) -> Iterator[Claim]:
    """Make a run directory ours for the length of a `with`.

    Args:
        directory (Path): made if it is not there; a new one that is left empty goes again.
        resume (bool): a run must stand there, and stays.
        overwrite (bool): a run may stand there; the one that `Claim.begin` begins will take its place.
        note (Callable[[str], None]): told about leftovers that were removed.

    Raises:
        UsageError: the directory is in use, holds something else, or holds nothing to resume.
        OutputError: it cannot be made or written.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    try:
        if (directory / REPLACED).is_dir():
            with RunLock(directory):
                _put_back(directory)
            note(f"{directory}: the run that stood here is back; the one that was to replace it saved no step")
        _check(directory, resume=resume, overwrite=overwrite)
    except OSError as error:
        raise OutputError(f"{directory} cannot be read: {error.strerror}", hint="choose another --out") from None
    new = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = RunLock(directory).__enter__()
    except OSError as error:
        _remove_empty(new)
        raise OutputError(f"{directory} cannot be written: {error.strerror}", hint="choose another --out") from None
    claimed = Claim(directory, finished=resume and (directory / modeldir.MANIFEST).is_file())
    try:
        if removed := modeldir.remove_leftovers(directory):
            note(f"removed {removed} unfinished files of a run that was killed while saving")
        yield claimed
    except Interrupted:
        claimed.keep()  # it is saved, be it before its first step
        raise
    except OSError as error:
        claimed.undo()
        where = error.filename or directory
        raise OutputError(f"{where}: {error.strerror}", hint="make room, then start again, or --resume") from None
    except BaseException:
        claimed.undo()
        raise
    finally:
        lock.__exit__()
        _remove_empty(new or [directory])


def _check(directory: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a directory that is not what is wanted."""
    stands, empty = bool(modeldir.training_command(directory)), not directory.is_dir() or not any(directory.iterdir())
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


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _is_leftover(directory: Path) -> bool:
    """Whether nothing stands there but what a kill left before the run began."""
    return all(path.name == ".lock" or path.name.startswith(".tmp-") for path in directory.iterdir())


def _set_aside(directory: Path) -> None:
    """Move the run that stands in a directory, if there is one, into a folder of its own; its settings go last."""
    if (directory / modeldir.SETTINGS).exists():
        (directory / REPLACED).mkdir()
        for name in (*PARTS, modeldir.SETTINGS):
            with suppress(FileNotFoundError):
                (directory / name).rename(directory / REPLACED / name)


def _put_back(directory: Path) -> None:
    """Undo `_set_aside`, however far it came: once the settings are aside, what stands in their place is not theirs."""
    aside = directory / REPLACED
    if (aside / modeldir.SETTINGS).exists():
        _remove(directory, (*PARTS, modeldir.SETTINGS))
    for name in (modeldir.SETTINGS, *PARTS):
        with suppress(FileNotFoundError):
            (aside / name).rename(directory / name)
    with suppress(FileNotFoundError):
        aside.rmdir()


def _remove(directory: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = directory / name
        if path.is_dir():
            modeldir.remove_directory(path)
        else:
            path.unlink(missing_ok=True)


def halved(weights: Mapping[str, Tensor], warn: Callable[[str], None]) -> dict[str, Tensor]:
    """Weights in fp16, or all as they are when one is too large for it: nobody could open the model.

    Args:
        weights (Mapping[str, Tensor]): finite; what is not a float, such as a counter, stays.
        warn (Callable[[str], None]): told when they stay as they are.
    """
    small = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    for name, value in small.items():
        if not value.isfinite().all():
            largest = float(weights[name].abs().max())
            warn(f"{name} reaches {largest:.4g}, more than fp16 holds: the model is published in fp32")
            return dict(weights)
    return small


def publish(
    directory: Path,
    weights: Mapping[str, Tensor],
    files: Mapping[str, bytes],
    *,
    settings: bytes,
    metrics: bytes,
    card: str,
) -> None:
    """Turn a run directory into a model directory.

    Args:
        directory (Path): the run's.
        weights (Mapping[str, Tensor]): the weights to publish.
        files (Mapping[str, bytes]): `config.json`, tokenizer.
        settings (bytes): `training.json`.
        metrics (bytes): `metrics.jsonl`.
        card (str): the model card.

    Raises:
        OutputError: the files cannot be written.
    """
    whole = {
        **files,
        modeldir.WEIGHTS: modeldir.tensors_to_bytes(weights),
        modeldir.SETTINGS: settings,
        modeldir.METRICS: metrics,
        modeldir.CARD: card.encode(errors="surrogateescape"),
    }
    try:
        modeldir.publish(directory, whole)
    except OSError as error:
        raise OutputError(
            f"{directory}: the model could not be written: {error.strerror}", hint="make room, then --resume"
        ) from None
