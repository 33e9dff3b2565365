"""Pieces of words as tokens: a unigram sentencepiece model trained on the data.

Either for running text, of which it keeps every character, or for sentences, of which it tidies the spaces.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from seqgen.data.tokens import UNKNOWN, TokenIds
from seqgen.errors import DataError, ModelError

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space inside a piece


class SentencePieceTokenizer:
    """A unigram sentencepiece model that changes nothing in a text, save perhaps its spaces.

    Nothing is normalised, and characters without a piece fall back to their UTF-8 bytes. One character is beyond it:
    sentencepiece writes spaces as U+2581, so a U+2581 in the text comes back as a space. `train` makes two kinds; what
    a file holds is asked of the model itself, so the file alone is enough to use it.

    Args:
        model (bytes): a serialised sentencepiece model.

    Attributes:
        unk_id, pad_id, bos_id, eos_id (int): the special tokens; -1 where the model has none.
        begins_with_space (bool): whether the model puts a space before a text, so that a word is the same piece
            at the start of a sentence as inside it. `decode` takes it away again.

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
        except (RuntimeError, ValueError):
            raise ModelError(f"{self.file_name} is not a sentencepiece model") from None
        self.unk_id: int = self._processor.unk_id()
        self.pad_id: int = self._processor.pad_id()
        self.bos_id: int = self._processor.bos_id()
        self.eos_id: int = self._processor.eos_id()
        # The setting lies in a part of the file that needs protobuf to read; a letter shows it as well.
        self.begins_with_space: bool = self._processor.encode("a", out_type=str)[0].startswith(SPACE)
        self._bytes = [self._piece_bytes(i) for i in range(self._processor.get_piece_size())]

    def _piece_bytes(self, i: int) -> bytes:
        piece = self._processor.id_to_piece(i)
        if self._processor.is_byte(i):
            return bytes([int(piece[3:5], 16)])
        if self._processor.is_control(i):
            return b""
        if i == self.unk_id:
            return UNKNOWN.encode()
        return bytes(piece.replace(SPACE, " ").encode())

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int, *, sentences: bool = False) -> SentencePieceTokenizer:
        """Fit a vocabulary to some text; the same lines give the same model.

        A model of running text gives it back unchanged, and line feeds are pieces of their own. A model of sentences
        drops the spaces around a sentence, makes one space of several, and has the special tokens that mark where a
        sentence starts and ends.

        Args:
            lines (Iterable[str]): lines of text; line feeds at their ends are dropped.
            vocab_size (int): how many pieces, of which 256 stand for the bytes.
            sentences (bool): which of the two kinds.

        Raises:
            DataError: sentencepiece cannot make that many pieces from this text.
        """
        from sentencepiece import SentencePieceTrainer

        kind = (
            {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
            if sentences
            else {"bos_id": -1, "eos_id": -1, "user_defined_symbols": ["\n"]}
        )
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=(line.rstrip("\n") for line in lines),
                model_writer=model,
                vocab_size=vocab_size,
                model_type="unigram",
                normalization_rule_name="identity",
                remove_extra_whitespaces=sentences,
                add_dummy_prefix=sentences,
                byte_fallback=True,
                character_coverage=1.0,
                num_threads=1,
                minloglevel=2,
                **kind,
            )
        except (RuntimeError, OSError) as error:
            # After a place in its source: "Vocabulary size too high (9000). Please set it to a value <= 264.", or
            # "Vocabulary size is smaller than required_chars. 100 vs 339. Increase ...", or nothing: no sentences.
            reason = str(error).rsplit("] ", 1)[-1].split(" Increase")[0].strip() or "there is none"
            size = re.search(r"(?:<= |\d vs )(\d+)", reason)
            other = "" if sentences else ", or --tokens char"
            raise DataError(
                f"sentencepiece cannot make {vocab_size} pieces from this text: {reason}",
                hint=f"try {f'--vocab-size {size[1]}' if size else 'another --vocab-size'}{other}",
            ) from None
        return cls(model.getvalue())

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

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        return np.asarray(self._processor.encode(text), dtype=np.int64)

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
