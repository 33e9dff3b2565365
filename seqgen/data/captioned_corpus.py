"""Clips with captions on disk: what a captioner is trained and validated on.

Each clip is decoded once; its frames lie in a flat file that is mapped, or, where a frozen network reads them, the
features that it made of them.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import ClipConfig
from seqgen.data.captions import Captioned, read_captions
from seqgen.data.clips import Clip, read_clip
from seqgen.data.corpus import spool
from seqgen.data.epochs import Indices
from seqgen.data.image_files import Faults
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.spread import spread
from seqgen.data.text import shown_name
from seqgen.errors import DataError
from seqgen.wording import counted

INDEX = "captioned.json"
HELD_OUT = 0.1
LONGEST_NAME = 200  # of a file, as messages show it

Frames = NDArray[np.uint8] | NDArray[np.float32]
"""Of one clip: bytes `(frames, 3, height, width)`, or features of them `(frames, size)`."""
Extract = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Features `(frames, size)` of frames `(frames, 3, height, width)`."""


@dataclass(frozen=True)
class CaptionedPart:
    """Clips and their captions.

    Args:
        path (Path): the frames of all clips, one after another.
        shape (tuple[int, ...]): of one frame, or of its features.
        offsets (NDArray[np.int64]): where each clip begins and the last one ends, in frames, `(clips + 1,)`.
        captions (tuple[tuple[str, ...], ...]): of each clip, at least one.
    """

    path: Path
    shape: tuple[int, ...]
    offsets: NDArray[np.int64]
    captions: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each clip, `(clips,)`."""
        return np.diff(self.offsets)

    def read(self, indices: Indices) -> list[Frames]:
        """The frames of some clips."""
        # Mapped anew each time: pages count as resident for as long as their mapping lives.
        frames = np.memmap(self.path, _dtype(self.shape), mode="r", shape=(int(self.offsets[-1]), *self.shape))
        spans = zip(self.offsets[indices].tolist(), self.offsets[indices + 1].tolist(), strict=True)
        return [np.array(frames[start:stop]) for start, stop in spans]


@dataclass(frozen=True)
class CaptionedCorpus:
    """What a captioner is trained on."""

    train: CaptionedPart
    valid: CaptionedPart | None
    tokenizer: SentencePieceTokenizer


def stacked(clips: Sequence[Frames]) -> tuple[Frames, NDArray[np.int64]]:
    """Clips side by side.

    Returns:
        tuple[Frames, NDArray[np.int64]]: `(clips, frames, ...)`, zeros after the end of the shorter ones, and how many
        frames each has, `(clips,)`.
    """
    lengths = np.array([len(frames) for frames in clips], np.int64)
    together = np.zeros((len(clips), lengths.max(), *clips[0].shape[1:]), clips[0].dtype)
    for row, frames in zip(together, clips, strict=True):
        row[: len(frames)] = frames
    return together, lengths


def as_frames(clip: Clip) -> NDArray[np.uint8]:
    """The frames of a clip with the channels first, `(frames, 3, height, width)`."""
    return np.ascontiguousarray(clip.frames.transpose(0, 3, 1, 2))


# Building -----------------------------------------------------------------------------------------------------


def build_captioned(
    config: ClipConfig, extract: Extract | None, directory: Path, warn: Callable[[str], None]
) -> CaptionedCorpus:
    """Read the clips and captions of a run into `directory`, or reopen what an earlier session read.

    Args:
        config (ClipConfig): the list of captions, the frames of a clip, and the part to validate on.
        extract (Extract | None): makes the features that are kept in place of frames.
        directory (Path): created if needed.
        warn (Callable[[str], None]): told what was passed over, and what is odd.

    Raises:
        DataError: the list is unusable, or no clip can be read.
    """
    if (directory / INDEX).is_file():
        return _reopen(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    train, valid = _parts(config, directory, warn)
    index: dict[str, Any] = {}
    for part, entries in (("train", train), ("valid", valid)):
        index[part] = _write_part(directory / part, entries, config, extract, warn)
        if entries and not index[part]["captions"]:
            raise DataError(
                f"{shown_name(config.paths[0])}: none of its {counted(len(entries), 'clip')} can be read",
                hint="names of files are looked up beside the list",
            )
    if not train:
        raise DataError(f"{shown_name(config.paths[0])}: no clips to train on")
    captions = itertools.chain.from_iterable(index["train"]["captions"])
    # A short list of captions has fewer pieces than were asked for: that is nothing to be warned of.
    tokenizer = SentencePieceTokenizer.train(captions, config.vocab_size, sentences=True)
    (directory / tokenizer.file_name).write_bytes(tokenizer.to_bytes())
    modeldir.write_file(directory / INDEX, modeldir.json_bytes(index))
    return _reopen(directory)


def captioned_part(
    stem: Path, entries: Sequence[Captioned], config: ClipConfig, extract: Extract | None, warn: Callable[[str], None]
) -> CaptionedPart:
    """Read some clips into a file beside `stem`, for evaluation; the caller removes it.

    Raises:
        DataError: none of them can be read.
    """
    index = _write_part(stem, entries, config, extract, warn)
    if not index["captions"]:
        raise DataError(f"none of {counted(len(entries), 'clip')} can be read")
    return _open_part(stem, index)


def clip_folders(config: ClipConfig) -> list[str]:
    """The folders in which the clips of a run lie; none if its list comes through a pipe."""
    paths = [path for path in (*config.paths, config.valid_path) if path and path != "-"]
    entries = (entry for path in paths for entry in read_captions(path, keys=_keys(config)))
    return sorted({str(entry.file.parent) for entry in entries})


def _keys(config: ClipConfig) -> tuple[str, str]:
    return config.file_key, config.caption_key


def _parts(config: ClipConfig, directory: Path, warn: Callable[[str], None]) -> tuple[list[Captioned], list[Captioned]]:
    """The entries to train on, and those to validate on."""
    if not config.paths:
        raise DataError("no captions to train on")

    def read(path: str, copy: str) -> list[Captioned]:
        kept = path if path != "-" and Path(path).is_dir() else spool(path, directory / copy)
        beside = None if kept == path else Path()  # what came through a pipe lies beside nothing
        return read_captions(kept, shown_name(path), warn, keys=_keys(config), beside=beside)

    entries = read(config.paths[0], "input")
    if config.valid_path is not None:
        return entries, read(config.valid_path, "valid-input")
    marked = [entry for entry in entries if entry.split == "valid"]
    if config.valid_fraction is None and marked:
        return [entry for entry in entries if entry.split != "valid"], marked
    fraction = HELD_OUT if config.valid_fraction is None else config.valid_fraction
    count = min(round(fraction * len(entries)), len(entries) - 1)
    held_out = set(spread(len(entries), count).tolist())
    if fraction and not count:
        warn("too few clips for a validation part: the run is judged by its training loss alone")
    train = [entry for i, entry in enumerate(entries) if i not in held_out]
    return train, [entries[i] for i in sorted(held_out)]


def _write_part(
    stem: Path,
    entries: Sequence[Captioned],
    config: ClipConfig,
    extract: Extract | None,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Write the frames of some clips, one clip in memory at a time; what the index keeps of them comes back."""
    faults, damaged, still = Faults(), 0, 0
    lengths, captions = list[int](), list[tuple[str, ...]]()
    shape: tuple[int, ...] = (3, config.image_size, config.image_size)
    with stem.with_suffix(".bin").open("wb") as file:
        for entry, clip in _readable(entries, config, faults):
            frames = as_frames(clip)
            kept: Frames = frames if extract is None else extract(frames)
            shape = kept.shape[1:]
            file.write(kept.tobytes())
            lengths.append(len(kept))
            captions.append(entry.captions)
            damaged += clip.damaged
            still += len(frames) == 1
    if faults.count:
        warn(str(faults))
    if damaged:
        warn(f"{counted(damaged, 'clip')} damaged: read up to there")
    if still:
        warn(f"{counted(still, 'clip')} of {len(captions):,} with one frame only")
    return {"shape": shape, "lengths": lengths, "captions": captions}


def _readable(entries: Sequence[Captioned], config: ClipConfig, faults: Faults) -> Iterator[tuple[Captioned, Clip]]:
    for entry in entries:
        try:
            clip = read_clip(str(entry.file), config.frames, config.image_size)
        except DataError as error:
            faults.add(str(entry.file)[:LONGEST_NAME], ValueError(error.message.removeprefix(f"{entry.file}: ")))
        else:
            yield entry, clip


# Reopening ----------------------------------------------------------------------------------------------------


def _reopen(directory: Path) -> CaptionedCorpus:
    try:
        index = json.loads((directory / INDEX).read_bytes())
        train, valid = (_open_part(directory / part, index[part]) for part in ("train", "valid"))
        whole = all(part.path.stat().st_size == _bytes(part) for part in (train, valid))
        tokenizer = SentencePieceTokenizer((directory / SentencePieceTokenizer.file_name).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DataError(
            f"{directory} does not hold the whole clips of this run", hint=f"delete {directory} and resume again"
        )
    return CaptionedCorpus(train, valid if len(valid) else None, tokenizer)


def _open_part(stem: Path, index: dict[str, Any]) -> CaptionedPart:
    offsets = np.concatenate([[0], np.cumsum(np.array(index["lengths"], np.int64))]).astype(np.int64)
    captions = tuple(tuple(map(str, own)) for own in index["captions"])
    return CaptionedPart(stem.with_suffix(".bin"), tuple(map(int, index["shape"])), offsets, captions)


def _bytes(part: CaptionedPart) -> int:
    return int(part.offsets[-1] * np.prod(part.shape) * np.dtype(_dtype(part.shape)).itemsize)


def _dtype(shape: tuple[int, ...]) -> str:
    """Of frames bytes, of features floats."""
    return "uint8" if len(shape) == 3 else "float32"
