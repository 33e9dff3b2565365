"""Pieces of words as tokens: a unigram sentencepiece model trained on the data.

Either for running text, of which it keeps every character, or for sentences, of which it tidies the spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from seqgen.data.normalization import Rule, normalize
from seqgen.data.piece_training import SPACE, train_model
from seqgen.data.tokens import UNKNOWN, TokenIds
from seqgen.errors import ModelError

# In sentencepiece's format a message may be written in parts, of which later ones are merged into those before: a
# `normalizer_spec` (field 3) with only a `name` (field 1) can be appended to a file, and names our rule in it.
_RULES: dict[Rule, bytes] = {"text": b"seqgen-text", "sentences": b"seqgen-sentences"}


def _mark(rule: Rule) -> bytes:
    name = b"\x0a" + bytes([len(_RULES[rule])]) + _RULES[rule]
    return b"\x1a" + bytes([len(name)]) + name


def with_rule(model: bytes, rule: Rule) -> bytes:
    """A serialised sentencepiece model that names the rule for its text; all else in it stays."""
    return model + _mark(rule)


class SentencePieceTokenizer:
    """A unigram sentencepiece model of text that `seqgen.data.normalization` has tidied.

    It changes nothing further, save perhaps spaces, and characters without a piece fall back to their UTF-8 bytes. One
    character is beyond it: sentencepiece writes spaces as U+2581, so a U+2581 in the text comes back as a space.
    `train` makes two kinds; what a file holds is asked of the model itself, so the file alone is enough to use it.

    Args:
        model (bytes): a serialised sentencepiece model.

    Attributes:
        unk_id, pad_id, bos_id, eos_id (int): the special tokens; -1 where the model has none.
        begins_with_space (bool): whether the model puts a space before a text, so that a word is the same piece
            at the start of a sentence as inside it. `decode` takes it away again.
        rule (Rule): how a text is tidied first; `none` in files that do not name one.
        unknown_in_training (bool): whether a text can have unknown tokens at all: not if bytes have pieces.

    Raises:
        ModelError: the bytes are not such a model.
    """

    file_name = "tokenizer.model"

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._model = model
        try:
            self._processor = SentencePieceProcessor()
            self._processor.LoadFromSerializedProto(model)
            self._bytes = [self._piece_bytes(i) for i in range(self._processor.get_piece_size())]
        except (RuntimeError, ValueError):  # the latter also of a piece that is no UTF-8
            raise ModelError(f"{self.file_name} is not a sentencepiece model") from None
        self.unk_id: int = self._processor.unk_id()
        self.pad_id: int = self._processor.pad_id()
        self.bos_id: int = self._processor.bos_id()
        self.eos_id: int = self._processor.eos_id()
        # The setting lies in a part of the file that needs protobuf to read; a letter shows it as well.
        self.begins_with_space: bool = self._processor.encode("a", out_type=str)[0].startswith(SPACE)
        self._has_piece: dict[str, bool] = {}
        self._lengths = np.array([sum(byte & 0xC0 != 0x80 for byte in piece) for piece in self._bytes], dtype=np.int64)
        self.rule: Rule = next((rule for rule in _RULES if model.endswith(_mark(rule))), "none")
        self.unknown_in_training = not any(map(self._processor.is_byte, range(len(self._bytes))))

    def _piece_bytes(self, i: int) -> bytes:
        piece = self._processor.id_to_piece(i)
        if self._processor.is_byte(i):
            return bytes([int(piece[3:5], 16)])
        if self._processor.is_control(i):
            return b""
        if i == self._processor.unk_id():
            return UNKNOWN.encode()
        return bytes(piece.replace(SPACE, " ").encode())

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        *,
        sentences: bool = False,
        warn: Callable[[str], None] = lambda message: None,
    ) -> SentencePieceTokenizer:
        """Fit a vocabulary to some text; the same texts give the same model.

        A model of running text gives it back unchanged, and line feeds are pieces of their own. A model of sentences
        drops the spaces around a sentence, makes one space of several, and has the special tokens that mark where a
        sentence starts and ends.

        Args:
            texts (Iterable[str]): sentences, or the parts of a running text.
            vocab_size (int): how many pieces, of which 256 stand for the bytes. When the text has fewer, or needs more
                for its characters, the nearest number that works is taken, with a warning.
            sentences (bool): which of the two kinds.
            warn (Callable[[str], None]): told about that, and about what the model will not tell apart.

        Raises:
            DataError: there is no text.
        """
        model = train_model(texts, vocab_size, sentences=sentences, warn=warn)
        tokenizer = cls(with_rule(model, "sentences" if sentences else "text"))
        if (size := len(tokenizer.token_bytes)) != vocab_size:
            bound = "at least" if size > vocab_size else "at most"
            warn(f"this text makes {bound} {size} pieces, not {vocab_size}: the vocabulary has {size}")
        return tokenizer

    def piece(self, token_id: int) -> str:
        """A token as it is shown: spaces as U+2581, what cannot be printed escaped."""
        piece: str = self._processor.id_to_piece(token_id)
        if piece.isprintable():
            return piece
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in piece)

    def piece_text(self, token_id: int) -> str:
        """The text that a token stands for by itself; nothing for the tokens that only mark a place."""
        return self._bytes[token_id].decode(errors="replace")

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes of each piece."""
        return self._bytes

    def normalize(self, text: str) -> str:
        """A text as `encode` reads it."""
        return normalize(text, self.rule)

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        return np.asarray(self._processor.encode(self.normalize(text)), dtype=np.int64)

    def unseen(self, text: str) -> list[str]:
        """The characters that have no piece and fall back to their bytes, or to the unknown token."""
        text = self.normalize(text)
        for character in set(text) - self._has_piece.keys():
            pieces = self._processor.encode(character)
            self._has_piece[character] = not any(i == self.unk_id or self._processor.is_byte(i) for i in pieces)
        return [character for character in text if not self._has_piece[character]]

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        """The characters that begin in each piece, `(time,)`: the bytes that do not continue one."""
        return self._lengths[token_ids]

    def best_ways(self, token_ids: TokenIds, count: int) -> tuple[list[TokenIds], NDArray[np.float64]]:
        """The likeliest ways to write the text of some tokens, at most `count`, and their log-probabilities."""
        text = self._processor.decode(token_ids.tolist())
        if not text:  # a space alone, which is dropped where a text begins
            return [token_ids], np.zeros(1)
        ways = self._processor.nbest_encode(text, nbest_size=count, out_type=int)
        log_probs = [sum(self._processor.get_score(piece) for piece in way) for way in ways]
        return [np.asarray(way, dtype=np.int64) for way in ways], np.array(log_probs)

    def to_bytes(self) -> bytes:
        """`tokenizer.model`, as sentencepiece's own tools read it."""
        return self._model
