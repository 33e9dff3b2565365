"""Clips to frames: an animated image, a still one, a folder of frames, or a video file.

A clip is looked through twice, first for how long each frame is shown, then for the frames that are wanted, so that a
long one takes no more memory than a short one. Every frame is what a viewer would see: laid over those before it, on
white where it is transparent. Video files need PyAV, the extra `video`.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seqgen.data.contents import refuse_text
from seqgen.data.image_files import opened
from seqgen.data.image_fit import fitted
from seqgen.data.image_folders import cause, in_file
from seqgen.data.image_pixels import MAX_PIXELS, Form, pixels_of
from seqgen.data.image_signs import IMAGE
from seqgen.errors import DataError, UsageError

# MP4 and MOV, Matroska and WebM, AVI, MPEG program and transport streams, Ogg, FLV.
VIDEO = re.compile(
    rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]|G.{187}G|OggS|FLV\x01|.{4}(?:moov|mdat|wide|free)",
    re.DOTALL,
)
# Frames that are looked through; more would take minutes.
MOST_FRAMES = 100_000
# How long a frame is shown that says nothing, or 10 ms and less, as browsers show it.
USUAL_MS, SHORTEST_MS = 100.0, 10.0
T = TypeVar("T")

WANTED = "a clip is an animated GIF, WebP or PNG, a still image, a folder of frames, or a video file"


@dataclass(frozen=True)
class Clip:
    """Some frames of a clip.

    Args:
        frames (NDArray[np.uint8]): `(frames, height, width, 3)`, at least one.
        total (int): frames that the clip has.
        damaged (bool): whether something of it could not be read.
    """

    frames: NDArray[np.uint8]
    total: int
    damaged: bool = False


class _Source(Protocol):
    """A clip that can be looked through as often as wanted; what is wrong with a frame is raised there."""

    def durations(self) -> Iterator[float]:
        """How long each frame is shown, in any unit."""

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """The pixels of each frame, `(height, width, channels)`; those that nobody looks at need not be decoded."""


def read_clip(path: str, most: int, size: int) -> Clip:
    """The frames of a clip in one form.

    Args:
        path (str): a file, or a folder of frames.
        most (int): frames that are kept, at most: those that are shown in the middle of as many equal parts of its
            duration. A clip of fewer keeps all of its own.
        size (int): height and width to which a frame is resized, after what is too long of it was cut off at both ends.

    Raises:
        DataError: there is no frame that can be read.
        UsageError: it is a video file, and PyAV is not installed.
    """
    source = _open(path)
    durations, fault = _until_a_fault(source.durations())
    if not durations:
        raise DataError(f"{path}: no frame can be read ({cause(fault) if fault else 'there is none'})", hint=WANTED)
    wanted = _chosen(durations, most)
    numbered = enumerate(source.frames())
    form = Form(size, size, 3)
    needed = set(wanted)
    kept, late = _until_a_fault((i, fitted(pixels, form, "crop")) for i, pixels in numbered if i in needed)
    found = dict(kept)
    if not found:
        raise DataError(f"{path}: no frame can be read ({cause(late) if late else 'there is none'})", hint=WANTED)
    frames = np.stack([found[i] for i in wanted if i in found])
    return Clip(frames, len(durations), fault is not None or late is not None)


def _until_a_fault(things: Iterable[T]) -> tuple[list[T], Exception | None]:
    """What comes before something that cannot be read, and what is wrong with that."""
    found: list[T] = []
    try:
        for thing in itertools.islice(things, MOST_FRAMES):
            found.append(thing)
    except Exception as error:  # Pillow and FFmpeg raise whatever their parsers stumble over
        return found, error
    return found, None


def _chosen(durations: Sequence[float], most: int) -> list[int]:
    """The frames that are shown in the middle of `most` equal parts of the whole; all if there are no more."""
    if len(durations) <= most:
        return list(range(len(durations)))
    ends = np.cumsum([USUAL_MS if duration <= SHORTEST_MS else duration for duration in durations])
    middles = (np.arange(most) + 0.5) * (ends[-1] / most)
    return np.searchsorted(ends, middles, side="right").tolist()  # type: ignore[no-any-return]


def _open(path: str) -> _Source:
    # Unlike those of `Path`, these answer of names that no file can have.
    if os.path.isdir(path):
        return _Folder(path)
    if not os.path.exists(path):
        raise DataError(f"{path}: no such file or folder")
    if not os.path.isfile(path):
        raise DataError(f"{path}: a clip cannot come from a pipe", hint="it is read twice: write it to a file first")
    try:
        with open(path, "rb") as file:
            begin = file.read(512)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if IMAGE.match(begin):
        return _Animation(path)
    if VIDEO.match(begin):
        if find_spec("av") is None:
            raise UsageError(f"{path} is a video file", hint="pip install 'seqgen[video]' reads it")
        return _Video(path)
    refuse_text(path)
    raise DataError(f"{path}: neither an image nor a video", hint=WANTED)


@dataclass(frozen=True)
class _Animation:
    """The frames of one image file."""

    path: str

    def durations(self) -> Iterator[float]:
        for image in self._frames():
            image.load()  # WebP says only then how long a frame is shown, and only then is it known to be whole
            yield float(image.info.get("duration") or 0)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        return map(pixels_of, self._frames())

    def _frames(self) -> Iterator[Image.Image]:
        [file] = in_file(self.path)
        with opened(file) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                yield image


@dataclass(frozen=True)
class _Folder:
    """The images of a folder, each a frame; what is no image is left out."""

    path: str

    def durations(self) -> Iterator[float]:
        return (USUAL_MS for _ in self._files())

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        for path in self._files():
            [file] = in_file(path)
            with opened(file) as image:
                yield pixels_of(image)

    def _files(self) -> list[str]:
        """In natural order: 2 before 10."""
        names = sorted((entry.name for entry in os.scandir(self.path) if _is_frame(entry)), key=_natural)
        return [os.path.join(self.path, name) for name in names]


def _is_frame(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or not entry.is_file():
        return False
    with open(entry.path, "rb") as file:
        return IMAGE.match(file.read(512)) is not None


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


@dataclass(frozen=True)
class _Video:
    """The frames of a video file, by FFmpeg."""

    path: str

    def durations(self) -> Iterator[float]:
        import av

        with _decoding(), av.open(self.path) as container:
            stream = container.streams.video[0]
            times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        unit = 1000.0 * float(stream.time_base or 1)
        lengths = [(b - a) * unit for a, b in itertools.pairwise(times)]
        yield from [*lengths, lengths[-1] if lengths else USUAL_MS][: len(times)]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        import av

        with _decoding(), av.open(self.path) as container:
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise ValueError(f"{stream.width} x {stream.height} pixels, more than {MAX_PIXELS:,}")
            for frame in container.decode(stream):
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


@contextmanager
def _decoding() -> Iterator[None]:
    """FFmpeg's errors as ours, which say in one line what is wrong; its own talk goes nowhere."""
    import av

    av.logging.set_level(None)
    try:
        yield
    except IndexError:
        raise ValueError("there is no picture in it") from None
    except av.error.FFmpegError as error:
        raise ValueError(error.strerror) from None
