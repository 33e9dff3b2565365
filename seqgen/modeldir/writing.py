"""Writing model directories, so that a kill at any moment or a full disk leaves the old or the new, never a part.

A file is written beside its place, synced and renamed; so is a directory. `MANIFEST.json` says that all is there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from seqgen.modeldir.layout import ASIDE, MANIFEST, manifest

if TYPE_CHECKING:
    from torch import Tensor


def write_file(path: Path, content: bytes) -> None:
    """Replace one file so that a kill at any moment leaves the old one or the new one, never a part."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Make a model directory in one indivisible move; one that stands there stays until the new one is whole.

    The one that stood there is renamed aside before the new one gets its name. A kill between these two moves leaves it
    aside, where `checkpoints` finds it, and `remove_leftovers` gives it its name back.

    Args:
        target (Path): where it goes.
        files (Mapping[str, bytes]): contents by name; the manifest is added.

    Raises:
        OSError: the disk is full or the folder cannot be written; what stood there stands, and nothing is left behind.
    """
    temporary, aside = target.with_name(f".tmp-{target.name}-{os.getpid()}"), target.with_name(f"{ASIDE}{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, content in files.items():
            _write_synced(temporary / name, content)
        _write_synced(temporary / MANIFEST, manifest(files))
        sync_directory(temporary)
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
            target.rename(aside)
        temporary.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def remove_directory(directory: Path) -> None:
    """Delete a model directory; a kill on the way leaves a temporary one, not half a model."""
    doomed = directory.with_name(f".tmp-{directory.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        directory.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def publish(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a model into a run's own directory, which already stands, and in which an older model may stand.

    All of it is written and synced in a temporary folder first. Then the old manifest goes, the files get their names,
    and the new manifest comes last. A kill in between leaves a directory without a manifest, which `locate` reads as an
    unfinished run: its newest checkpoint still answers, and `--resume` finishes the job.

    Raises:
        OSError: the disk is full or the folder cannot be written; what stood there stands.
    """
    staged = directory / f".tmp-model-{os.getpid()}"
    try:
        write_directory(staged, files)
        (directory / MANIFEST).unlink(missing_ok=True)
        for name in (*files, MANIFEST):
            (staged / name).replace(directory / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    sync_directory(directory)


def remove_leftovers(directory: Path) -> int:
    """Delete the temporary files of a run that was killed while writing, and put back what it was about to replace.

    Returns:
        int: how many there were.
    """
    leftovers = list(directory.glob(".tmp-*")) + list(directory.glob("checkpoints/.tmp-*"))
    for path in leftovers:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    replaced = list(directory.glob(f"checkpoints/{ASIDE}*"))
    for path in replaced:
        place = path.with_name(path.name.removeprefix(ASIDE))
        shutil.rmtree(path) if place.exists() else path.rename(place)
    return len(leftovers) + len(replaced)


def sync_directory(directory: Path) -> None:
    """Make a rename in this directory survive a power cut."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def tensors_to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors in the safetensors format."""
    from safetensors.torch import save

    return save(
        {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, dict(metadata) if metadata else None
    )
