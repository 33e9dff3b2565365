"""Characters or words as tokens, and which tokenizer a file holds.

`CharTokenizer` gives each character an id and learns its characters while it reads. `WordTokenizer` knows the most
frequent words. `seqgen.data.pieces` has the third kind.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen.data.normalization import Rule, known_rule, normalize
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import UNKNOWN, TokenIds, Tokenizer
from seqgen.errors import ModelError

WORD = re.compile(r"\n|\S+")


class CharTokenizer:
    """One id per character, in the order in which the characters first appeared; id 0 is the unknown one.

    Args:
        chars (Iterable[str]): the known characters, without the unknown one.
        growing (bool): whether `encode` gives new characters an id. A corpus is read once, so its characters
            are learned on the way; afterwards `freeze` closes the list.
        rule (Rule): how a text is tidied first.
        unknown_in_training (bool): see `Tokenizer`.
    """

    file_name = "tokenizer.json"
    unk_id = 0
    begins_with_space = False

    def __init__(
        self,
        chars: Iterable[str] = (),
        *,
        growing: bool = False,
        rule: Rule = "none",
        unknown_in_training: bool = False,
    ) -> None:
        self.chars = [UNKNOWN, *chars]
        self._growing = growing
        self.rule, self.unknown_in_training = rule, unknown_in_training
        # One entry per Unicode code point: encoding is a single indexing operation at memory speed.
        self._ids = np.full(0x110000, -1, dtype=np.int32)
        self._ids[[ord(c) for c in self.chars]] = np.arange(len(self.chars), dtype=np.int32)

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes of each character."""
        return [c.encode() for c in self.chars]

    def normalize(self, text: str) -> str:
        """A text as `encode` reads it."""
        return normalize(text, self.rule)

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        points = np.frombuffer(self.normalize(text).encode("utf-32-le"), dtype="<u4")
        ids = self._ids[points]
        unseen = ids < 0
        if unseen.any():
            if self._growing:
                self._learn(points[unseen])
                ids = self._ids[points]
            else:
                ids[unseen] = self.unk_id
        return np.asarray(ids, dtype=np.int64)

    def unseen(self, text: str) -> list[str]:
        """The characters that were not in the training text."""
        text = self.normalize(text)
        return [c for c, i in zip(text, self.encode(text), strict=True) if i == self.unk_id]

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        """One character each, `(time,)`."""
        return np.ones_like(token_ids)

    def freeze(self) -> None:
        """From here on an unseen character is unknown."""
        self._growing = False

    def _learn(self, points: NDArray[np.uint32]) -> None:
        new, first = np.unique(points, return_index=True)
        for point in new[np.argsort(first)]:
            self._ids[point] = len(self.chars)
            self.chars.append(chr(point))

    def to_bytes(self) -> bytes:
        """`tokenizer.json`: the characters as one JSON string."""
        return _file(self, "char", {"chars": "".join(self.chars[1:])})

    @classmethod
    def from_bytes(cls, content: bytes) -> CharTokenizer:
        """Read `tokenizer.json`.

        Raises:
            ModelError: it is not what `to_bytes` writes.
        """
        try:
            data = json.loads(content)
            chars = data["chars"]
            chars.encode()  # JSON can spell half a surrogate pair, UTF-8 cannot
        except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
            chars = None
        if not isinstance(chars, str) or len(set(chars) | {UNKNOWN}) != len(chars) + 1:
            raise ModelError(f"{cls.file_name} is not a list of distinct characters")
        # Older files, which lack this field, knew every character of their text.
        return cls(chars, rule=_rule(data), unknown_in_training=_flag(data, default=False))


class WordTokenizer:
    """One id per word between spaces, and one for the line feed; spaces themselves are not kept.

    Args:
        words (Iterable[str]): the known words, without the unknown one and the line feed.
        rule (Rule): how a text is tidied first.
        unknown_in_training (bool): see `Tokenizer`.
    """

    file_name = "tokenizer.json"
    unk_id = 0
    begins_with_space = False

    def __init__(self, words: Iterable[str], *, rule: Rule = "none", unknown_in_training: bool = True) -> None:
        self.words = ["<unk>", "\n", *words]
        self.rule, self.unknown_in_training = rule, unknown_in_training
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def train(cls, parts: Iterable[str], vocab_size: int) -> WordTokenizer:
        """Keep the most frequent words of a text, of equally frequent ones those that come first.

        Args:
            parts (Iterable[str]): the text, normalised by the rule `text`, in parts that cut no word.
            vocab_size (int): how many tokens at most, the unknown one and the line feed included.
        """
        counts = Counter(itertools.chain.from_iterable(part.split() for part in parts))
        del counts["<unk>"]  # in a text that was cut down to a vocabulary before
        return cls((word for word, _ in counts.most_common(max(0, vocab_size - 2))), rule="text")

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes of each word, a space after it."""
        return [b"\n" if word == "\n" else f"{word} ".encode() for word in self.words]

    def normalize(self, text: str) -> str:
        """A text as `encode` reads it."""
        return normalize(text, self.rule)

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        return self.encode_words(WORD.findall(self.normalize(text)))

    def encode_words(self, words: Sequence[str]) -> TokenIds:
        """Token ids `(words,)` of words as they stand."""
        return np.fromiter((self._ids.get(word, self.unk_id) for word in words), dtype=np.int64, count=len(words))

    def unseen(self, text: str) -> list[str]:
        """The words that are not in the vocabulary."""
        return [word for word in WORD.findall(self.normalize(text)) if word not in self._ids]

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        """The characters of each word and of the white space before it, `(time,)`; the last has what is left."""
        ends = np.fromiter((match.end() for match in WORD.finditer(text)), dtype=np.int64)
        ends[-1:] = len(text)
        return ends - np.concatenate([[0], ends[:-1]]) if len(ends) else ends

    def to_bytes(self) -> bytes:
        """`tokenizer.json`: a list of words."""
        return _file(self, "word", {"words": self.words[2:]})

    @classmethod
    def from_bytes(cls, content: bytes) -> WordTokenizer:
        """Read `tokenizer.json`.

        Raises:
            ModelError: it is not what `to_bytes` writes.
        """
        try:
            data = json.loads(content)
            words = data["words"]
            whole = isinstance(words, list) and len({"<unk>", "\n", *words}) == len(words) + 2
            whole = whole and all(WORD.fullmatch(word) for word in words)
            " ".join(words).encode()  # JSON can spell half a surrogate pair, UTF-8 cannot
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise ModelError(f"{cls.file_name} is not a list of distinct words")
        # Older files do not say whether their vocabulary was cut.
        return cls(words, rule=_rule(data), unknown_in_training=_flag(data, default=True))


def _file(tokenizer: Tokenizer, kind: str, vocabulary: dict[str, str | list[str]]) -> bytes:
    data = {"kind": kind, "normalization": tokenizer.rule, "unknown_in_training": tokenizer.unknown_in_training}
    return (json.dumps(data | vocabulary, ensure_ascii=False) + "\n").encode()


def _rule(data: dict[str, Any]) -> Rule:
    return known_rule(data.get("normalization", "none"), CharTokenizer.file_name)


def _flag(data: dict[str, Any], *, default: bool) -> bool:
    flag = data.get("unknown_in_training", default)
    if not isinstance(flag, bool):
        raise ModelError(f"{CharTokenizer.file_name}: unknown_in_training is neither true nor false")
    return flag


def from_bytes(file_name: str, content: bytes) -> Tokenizer:
    """The tokenizer in a model directory's file.

    Raises:
        ModelError: the file is neither kind.
    """
    if file_name != CharTokenizer.file_name:
        return SentencePieceTokenizer(content)
    kind = WordTokenizer if b'"word"' in content[:20] else CharTokenizer
    return kind.from_bytes(content)
