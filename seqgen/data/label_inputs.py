"""Texts as a classifier reads them: token ids, where words are tokens the letters of each, and long texts in pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.data.buckets import Lengths, pad
from seqgen.data.normalization import normalize
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.data.tokens import TokenIds, Tokenizer

# A word with the apostrophes, hyphens and points in it, or one sign.
WORDS = re.compile(r"\w+(?:['\u2019.\-]\w+)*|[^\w\s]")
# Letters of a word that its character RNN reads: the first and the last ones of a longer word.
LETTERS = 30


def words_of(text: str) -> list[str]:
    """The words and signs of a running text."""
    return WORDS.findall(normalize(text, "sentences"))


@dataclass(frozen=True)
class Letters:
    """The letters of the distinct words of a batch, and where these words stand.

    Args:
        characters (TokenIds): `(words, letters)`, padded.
        lengths (Lengths): letters of each, `(words,)`.
        places (NDArray[np.int64]): which word stands where, `(batch, time)`.
    """

    characters: TokenIds
    lengths: Lengths
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """A batch of texts; a text that is read in pieces has several rows.

    Args:
        tokens (TokenIds): `(rows, time)`, padded.
        lengths (Lengths): tokens of each row, `(rows,)`.
        owners (NDArray[np.int64]): which text each row is of, `(rows,)`, in order.
        letters (Letters | None): of words.
        cut (frozenset[int]): the texts that are longer than what is read of them.
    """

    tokens: TokenIds
    lengths: Lengths
    owners: NDArray[np.int64]
    letters: Letters | None
    cut: frozenset[int]


@dataclass(frozen=True)
class InputReader:
    """Turns texts into what the network of a classifier reads.

    Args:
        tokenizer (Tokenizer): of the tokens.
        characters (CharTokenizer | None): of the letters of each word, None without a character RNN.
        per_token (bool): whether a text is words parted by spaces, each of which counts.
        max_length (int): tokens of a row.
        chunk (bool): whether a longer text has several rows; else it is cut.
    """

    tokenizer: Tokenizer
    characters: CharTokenizer | None
    per_token: bool
    max_length: int
    chunk: bool

    def split(self, text: str) -> list[str]:
        """The words of a text, where words are tokens."""
        return text.split(" ") if self.per_token else words_of(text)

    def read(self, texts: Sequence[str]) -> Inputs:
        """Texts side by side; of one in which there is nothing, the unknown token."""
        words: list[list[str]] = []
        if isinstance(self.tokenizer, WordTokenizer):
            words = [self.split(text) or [""] for text in texts]
            found = [self.tokenizer.encode_words(row) for row in words]
        else:
            unknown = np.array([self.tokenizer.unk_id])
            found = [ids if len(ids := self.tokenizer.encode(text)) else unknown for text in texts]
        spans = [(i, start) for i, token_ids in enumerate(found) for start in self._starts(len(token_ids))]
        tokens, lengths = pad([found[i][start : start + self.max_length] for i, start in spans], self.tokenizer.unk_id)
        letters = None
        if self.characters is not None and words:
            letters = _letters([words[i][start : start + self.max_length] for i, start in spans], self.characters)
        cut = frozenset(i for i, ids in enumerate(found) if len(ids) > self.max_length and not self.chunk)
        return Inputs(tokens, lengths, np.array([i for i, _ in spans], dtype=np.int64), letters, cut)

    def _starts(self, length: int) -> range:
        return range(0, length if self.chunk else 1, self.max_length)


def _letters(rows: Sequence[Sequence[str]], characters: CharTokenizer) -> Letters:
    """The letters of the words of some rows."""
    known: dict[str, int] = {}
    places, _ = pad([np.array([known.setdefault(word, len(known)) for word in row]) for row in rows], 0)
    spelled, lengths = pad([characters.encode(_short(word)) for word in known], characters.unk_id)
    return Letters(spelled, lengths, places)


def _short(word: str) -> str:
    """A word of at most `LETTERS` letters, its middle left out."""
    half = LETTERS // 2
    return word if len(word) <= LETTERS else word[:half] + word[-half:]
