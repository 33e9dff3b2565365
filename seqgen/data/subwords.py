"""Subword sampling: the same words in other pieces each time, so that a network learns what pieces have in common.

A unigram vocabulary has many ways to write a word, and the tokenizer always takes the likeliest. A network that has
only seen `football` knows nothing about `foot`; shown `foot ball` now and then, it does. Kudo 2018, "Subword
regularization".
"""

from __future__ import annotations

import functools
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import TokenIds

WAYS = 64  # of a word; section 3.1 of the paper takes as many of a sentence


class SubwordSampler:
    """Draws a way to write each word x of a sentence: segmentation s with probability P(s | x)^alpha / Z.

    Of all segmentations the 64 likeliest take part. Words are independent of each other under a unigram model, since
    no piece reaches across a space, so that each kind of word is listed once.

    Args:
        tokenizer (SentencePieceTokenizer): whose vocabulary is used.
        alpha (float): 1 samples from the model itself, which is nearly always the best segmentation; towards 0 all 64
            become equally likely.
    """

    def __init__(self, tokenizer: SentencePieceTokenizer, alpha: float) -> None:
        self._tokenizer, self._alpha = tokenizer, alpha
        self._begins_word = np.array([piece.startswith(b" ") for piece in tokenizer.token_bytes])
        self._ways = functools.lru_cache(maxsize=1 << 17)(self._list_ways)

    def sample(self, token_ids: TokenIds, generator: np.random.Generator, max_tokens: int) -> TokenIds:
        """A sentence in other pieces.

        Args:
            token_ids (TokenIds): the sentence as the tokenizer writes it, `(time,)`, at least one piece.
            generator (np.random.Generator): gives one number for each word.
            max_tokens (int): a sentence that would become longer stays as it is.

        Returns:
            TokenIds: pieces of the same text, `(other time,)`.
        """
        inner = 1 + np.flatnonzero(self._begins_word[token_ids[1:]])
        words = pairwise([0, *inner.tolist(), len(token_ids)])
        drawn = []
        for (start, stop), draw in zip(words, generator.random(len(inner) + 1), strict=True):
            ways, cumulative = self._ways(token_ids[start:stop].tobytes())
            drawn.append(ways[cumulative.searchsorted(draw, side="right")])
        sampled = np.concatenate(drawn)
        return sampled if len(sampled) <= max_tokens else token_ids

    def _list_ways(self, word: bytes) -> tuple[list[TokenIds], NDArray[np.float64]]:
        """The likeliest ways to write a word, and the cumulative probabilities of all but the last."""
        ways, log_probs = self._tokenizer.best_ways(np.frombuffer(word, dtype=np.int64), WAYS)
        weights = np.exp(self._alpha * (log_probs - log_probs.max()))
        return ways, np.cumsum(weights / weights.sum())[:-1]
