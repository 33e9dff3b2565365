"""Moments of features in a file, so that a large real set need be read only once.

The file is that of pytorch-fid (`--save-stats`): an npz with `mu` and `sigma`. Two keys are added, which pytorch-fid
does not look at and which a file need not have: `features`, the network and the hash of its weights, and `images`,
their number.
"""

from __future__ import annotations

import io
import lzma
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from seqgen.errors import DataError
from seqgen.metrics.images import Array
from seqgen.names import on_one_line

MAX_SIZE = 8192

# What NumPy raises over a damaged file; SyntaxError and TokenError are those of an array's header, written in Python.
DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, SyntaxError, TokenError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class ImageStatistics:
    """Moments of a set of images.

    Args:
        mean (Array): `(size,)`.
        covariance (Array): `(size, size)`.
        features (str): which network, empty when the file does not say.
        images (int): how many, 0 when the file does not say.
    """

    mean: Array
    covariance: Array
    features: str = ""
    images: int = 0

    def to_bytes(self) -> bytes:
        """The file as it is written."""
        file = io.BytesIO()
        np.savez_compressed(
            file, mu=self.mean, sigma=self.covariance, features=np.array(self.features), images=np.array(self.images)
        )
        return file.getvalue()


def is_statistics(path: Path) -> bool:
    """Whether a file holds moments, rather than images: by content, whatever its name."""
    if not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"mu.npy", "sigma.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


@contextmanager
def _without_warnings() -> Iterator[None]:
    """NumPy warns of headers that it has to read twice; a file is usable or it is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _in_short(error: Exception) -> str:
    """What went wrong in a few words: a damaged file decides what the message holds, and how much."""
    return on_one_line(str(error))[:120] or type(error).__name__


def read_statistics(path: Path) -> ImageStatistics:
    """Moments from a file of ours or of pytorch-fid.

    Raises:
        DataError: it is damaged, or its shapes do not fit each other.
    """
    try:
        with _without_warnings(), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            mean, covariance = (np.asarray(file[key], dtype=np.float64) for key in ("mu", "sigma"))
            features = str(file["features"]) if "features" in file else ""
            images = int(file["images"]) if "images" in file else 0
    except DAMAGE as error:
        raise DataError(f"{path} holds no statistics that can be read ({_in_short(error)})") from None
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not 1 <= len(mean) <= MAX_SIZE:
        raise DataError(f"{path}: mu has the shape {mean.shape} and sigma {covariance.shape}, not (n,) and (n, n)")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{path} holds values that are not finite")
    if not np.allclose(covariance, covariance.T):
        raise DataError(f"{path}: sigma is not symmetric, so it is no covariance")
    return ImageStatistics(mean, covariance, features, images)
