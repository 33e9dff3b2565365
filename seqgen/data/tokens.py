"""What a tokenizer is: text to token ids and back, without losing a byte of what the tokenizer knows.

All turn ids back through one table of bytes per token: `decode` joins it, `Utf8Stream` joins it a token at a time.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqgen.data.normalization import Rule

TokenIds = NDArray[np.int64]
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class Tokenizer(Protocol):
    """What the rest of seqgen knows of a tokenizer.

    Attributes:
        file_name (str): its file in a model directory.
        unk_id (int): the token of what it does not know.
        begins_with_space (bool): whether `encode` puts a space before a text, which `decode` takes away again.
        rule (Rule): how a text is tidied before it becomes tokens; it stands in the file.
        unknown_in_training (bool): whether the text that a model was trained on had unknown tokens. If not, the
            probability that the model gives them means nothing.
    """

    file_name: str
    unk_id: int
    begins_with_space: bool
    rule: Rule
    unknown_in_training: bool

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes that each token stands for; its length is the vocabulary size."""

    def normalize(self, text: str) -> str:
        """A text as `encode` reads it; see `seqgen.data.normalization`."""

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text, which is normalised first; what is unknown becomes `unk_id`."""

    def unseen(self, text: str) -> list[str]:
        """What of a text has no token of its own, in order, as often as it stands there: words, or characters."""

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        """How many characters of a normalised text each token of its encoding stands for, `(time,)`."""

    def to_bytes(self) -> bytes:
        """The tokenizer's file."""


def vocab_size(tokenizer: Tokenizer) -> int:
    """How many tokens there are, the unknown one included."""
    return len(tokenizer.token_bytes)


def decode(tokenizer: Tokenizer, token_ids: Iterable[int]) -> str:
    """The text of some token ids, from its start; bytes that are not UTF-8 become the replacement character."""
    table = tokenizer.token_bytes
    text = b"".join(table[i] for i in token_ids)
    return (text.removeprefix(b" ") if tokenizer.begins_with_space else text).decode(errors="replace")


class Utf8Stream:
    """Decodes tokens as they come, holding back a character until all of its bytes are there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._table = tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._drops_space = tokenizer.begins_with_space

    def feed(self, token_id: int) -> str:
        """The characters that this token completes."""
        piece = self._table[token_id]
        if piece and self._drops_space:
            piece, self._drops_space = piece.removeprefix(b" "), False
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """What is left at the end."""
        return self._decoder.decode(b"", final=True)
