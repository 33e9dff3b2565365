"""Text to token ids and back, without losing a byte of what the tokenizer knows.

`CharTokenizer` gives each character an id and learns its characters while it reads. `WordTokenizer` knows the most
frequent words. `SentencePieceTokenizer` wraps a unigram model trained on the data, either for running text, of which it
keeps every character, or for sentences, of which it tidies the spaces. All turn ids back through one table of bytes per
token: `decode` joins it, `Utf8Stream` joins it a token at a time.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seqgen.errors import DataError, ModelError

TokenIds = NDArray[np.int64]
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space inside a piece
WORD = re.compile(r"\n|\S+")


class Tokenizer(Protocol):
    """What the rest of seqgen knows of a tokenizer."""

    file_name: str
    unk_id: int

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes that each token stands for; its length is the vocabulary size."""

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text; what is unknown becomes `unk_id`."""

    def to_bytes(self) -> bytes:
        """The tokenizer's file."""


def vocab_size(tokenizer: Tokenizer) -> int:
    """How many tokens there are, the unknown one included."""
    return len(tokenizer.token_bytes)


def decode(tokenizer: Tokenizer, token_ids: Iterable[int]) -> str:
    """The text of some token ids, from its start; bytes that are not UTF-8 become the replacement character."""
    table = tokenizer.token_bytes
    text = b"".join(table[i] for i in token_ids)
    return (text.removeprefix(b" ") if _begins_with_space(tokenizer) else text).decode(errors="replace")


def _begins_with_space(tokenizer: Tokenizer) -> bool:
    """Whether `encode` puts a space before the text that `decode` must take away again."""
    return isinstance(tokenizer, SentencePieceTokenizer) and tokenizer.begins_with_space


class Utf8Stream:
    """Decodes tokens as they come, holding back a character until all of its bytes are there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._table = tokenizer.token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._drops_space = _begins_with_space(tokenizer)

    def feed(self, token_id: int) -> str:
        """The characters that this token completes."""
        piece = self._table[token_id]
        if piece and self._drops_space:
            piece, self._drops_space = piece.removeprefix(b" "), False
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """What is left at the end."""
        return self._decoder.decode(b"", final=True)


class CharTokenizer:
    """One id per character, in the order in which the characters first appeared; id 0 is the unknown one.

    Args:
        chars (Iterable[str]): the known characters, without the unknown one.
        growing (bool): whether `encode` gives new characters an id. A corpus is read once, so its characters
            are learned on the way; afterwards `freeze` closes the list.
    """

    file_name = "tokenizer.json"
    unk_id = 0

    def __init__(self, chars: Iterable[str] = (), *, growing: bool = False) -> None:
        self.chars = [UNKNOWN, *chars]
        self._growing = growing
        # One entry per Unicode code point: encoding is a single indexing operation at memory speed.
        self._ids = np.full(0x110000, -1, dtype=np.int32)
        self._ids[[ord(c) for c in self.chars]] = np.arange(len(self.chars), dtype=np.int32)

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes of each character."""
        return [c.encode() for c in self.chars]

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        ids = self._ids[points]
        unseen = ids < 0
        if unseen.any():
            if self._growing:
                self._learn(points[unseen])
                ids = self._ids[points]
            else:
                ids[unseen] = self.unk_id
        return np.asarray(ids, dtype=np.int64)

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
        return (json.dumps({"kind": "char", "chars": "".join(self.chars[1:])}, ensure_ascii=False) + "\n").encode()

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
        return cls(chars)


class WordTokenizer:
    """One id per word between spaces, and one for the line feed; spaces themselves are not kept.

    Args:
        words (Iterable[str]): the known words, without the unknown one and the line feed.
    """

    file_name = "tokenizer.json"
    unk_id = 0

    def __init__(self, words: Iterable[str]) -> None:
        self.words = ["<unk>", "\n", *words]
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int) -> WordTokenizer:
        """Keep the most frequent words of some lines, of equally frequent ones those that come first.

        Args:
            lines (Iterable[str]): the text.
            vocab_size (int): how many tokens at most, the unknown one and the line feed included.
        """
        counts = Counter(itertools.chain.from_iterable(line.split() for line in lines))
        del counts["<unk>"]  # in a text that was cut down to a vocabulary before
        return cls(word for word, _ in counts.most_common(max(0, vocab_size - 2)))

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The UTF-8 bytes of each word, a space after it."""
        return [b"\n" if word == "\n" else f"{word} ".encode() for word in self.words]

    def encode(self, text: str) -> TokenIds:
        """Token ids `(time,)` of a text."""
        return np.fromiter((self._ids.get(word, self.unk_id) for word in WORD.findall(text)), dtype=np.int64)

    def to_bytes(self) -> bytes:
        """`tokenizer.json`: a list of words."""
        return (json.dumps({"kind": "word", "words": self.words[2:]}, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> WordTokenizer:
        """Read `tokenizer.json`.

        Raises:
            ModelError: it is not what `to_bytes` writes.
        """
        try:
            words = json.loads(content)["words"]
            tokenizer = cls(words)
            whole = isinstance(words, list) and len(tokenizer._ids) == len(words) + 2
            whole = whole and all(WORD.fullmatch(word) for word in words)
            " ".join(words).encode()  # JSON can spell half a surrogate pair, UTF-8 cannot
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise ModelError(f"{cls.file_name} is not a list of distinct words")
        return tokenizer


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


def from_bytes(file_name: str, content: bytes) -> Tokenizer:
    """The tokenizer in a model directory's file.

    Raises:
        ModelError: the file is neither kind.
    """
    if file_name != CharTokenizer.file_name:
        return SentencePieceTokenizer(content)
    kind = WordTokenizer if b'"word"' in content[:20] else CharTokenizer
    return kind.from_bytes(content)
