"""The sentences of one language as tokens on disk: a flat array that is mapped, and where each sentence begins.

Of a corpus larger than memory only these places are held, 8 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen.data.tokens import TokenIds


@dataclass(frozen=True)
class Sentences:
    """One side of the pairs.

    Args:
        path (Path): token ids, a flat little-endian array without a header.
        dtype (str): its unsigned NumPy type.
        offsets (NDArray[np.int64]): where each sentence begins and the last one ends, `(sentences + 1,)`.
    """

    path: Path
    dtype: str
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, stem: Path, dtype: str) -> Sentences:
        """What a `SentenceWriter` wrote."""
        return cls(_beside(stem, "bin"), dtype, np.fromfile(_beside(stem, "offsets"), dtype=np.int64))

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each sentence, `(sentences,)`."""
        return np.diff(self.offsets).astype(np.int32)

    def read(self, indices: NDArray[np.int64]) -> list[TokenIds]:
        """Token ids of some sentences, each `(time,)`."""
        # Mapped anew each time: pages count as resident for as long as their mapping lives.
        tokens = np.asarray(np.memmap(self.path, dtype=self.dtype, mode="r"))
        spans = zip(self.offsets[indices].tolist(), self.offsets[indices + 1].tolist(), strict=True)
        return [tokens[start:stop].astype(np.int64) for start, stop in spans]


class SentenceWriter:
    """Writes one side of the pairs, sentence by sentence.

    Args:
        stem (Path): of its files: `.bin` has the tokens, `.offsets` where sentences begin and the last one ends.
        dtype (str): the unsigned NumPy type of the tokens.
        with_text (bool): whether `.txt` keeps the text too, a sentence to a line.
    """

    def __init__(self, stem: Path, dtype: str, *, with_text: bool) -> None:
        self._dtype, self._end = dtype, 0
        self._tokens = _beside(stem, "bin").open("wb")
        self._offsets = _beside(stem, "offsets").open("wb")
        self._text = _beside(stem, "txt").open("wb") if with_text else None
        self._offsets.write(np.int64(0).tobytes())

    def __enter__(self) -> SentenceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._tokens, self._offsets, self._text):
            if file is not None:
                file.close()

    def write(self, text: str, token_ids: TokenIds) -> None:
        """Append a sentence."""
        self._end += len(token_ids)
        self._tokens.write(token_ids.astype(self._dtype).tobytes())
        self._offsets.write(np.int64(self._end).tobytes())
        if self._text is not None:
            self._text.write(f"{text}\n".encode())


def _beside(stem: Path, ending: str) -> Path:
    """One of a side's files; `stem` has a dot in its name already."""
    return stem.with_name(f"{stem.name}.{ending}")
