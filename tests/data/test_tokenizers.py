from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from seqgen.data.tokenizers import (
    UNKNOWN,
    CharTokenizer,
    SentencePieceTokenizer,
    TokenIds,
    Utf8Stream,
    decode,
    from_bytes,
    vocab_size,
)
from seqgen.errors import DataError, ModelError

LINES = ["to be, or not to be: that is the question", "whether 'tis nobler in the mind to suffer", "  two  spaces"]


class ByteTokenizer:
    """Every byte is a token: the hardest case for decoding in pieces."""

    file_name = "none"
    unk_id = 0

    @property
    def token_bytes(self) -> Sequence[bytes]:
        return [bytes([i]) for i in range(256)]

    def encode(self, text: str) -> TokenIds:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def to_bytes(self) -> bytes:
        return b""


@pytest.fixture(scope="module")
def pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train((line + "\n" for line in LINES * 20), 290)


def test_characters_are_numbered_as_they_appear() -> None:
    tokenizer = CharTokenizer(growing=True)
    # b and a are the first two characters; id 0 is the unknown one.
    assert tokenizer.encode("bab").tolist() == [1, 2, 1]
    assert tokenizer.encode("cab").tolist() == [3, 2, 1]
    assert tokenizer.chars == [UNKNOWN, "b", "a", "c"]
    assert vocab_size(tokenizer) == 4


def test_a_frozen_tokenizer_reads_new_characters_as_unknown() -> None:
    tokenizer = CharTokenizer(growing=True)
    tokenizer.encode("ab")
    tokenizer.freeze()
    assert tokenizer.encode("abx").tolist() == [1, 2, 0]
    assert vocab_size(tokenizer) == 3


def test_a_tokenizer_does_not_grow_unless_told_to() -> None:
    tokenizer = CharTokenizer("ab")
    assert tokenizer.encode("cb").tolist() == [0, 2]
    assert vocab_size(tokenizer) == 3


def test_token_ids_are_64_bit_and_an_empty_text_has_none() -> None:
    tokenizer = CharTokenizer("ab")
    assert tokenizer.encode("ab").dtype == np.int64
    assert tokenizer.encode("").shape == (0,)


def test_characters_beyond_the_basic_plane_are_one_token() -> None:
    tokenizer = CharTokenizer(growing=True)
    assert len(tokenizer.encode("a🙂é")) == 3
    assert [len(piece) for piece in tokenizer.token_bytes] == [3, 1, 4, 2]


def test_decode_gives_the_text_back() -> None:
    tokenizer = CharTokenizer(growing=True)
    assert decode(tokenizer, tokenizer.encode("naïve 🙂\n")) == "naïve 🙂\n"


def test_decode_replaces_bytes_that_are_no_character() -> None:
    assert decode(ByteTokenizer(), [0xC3, ord("a")]) == UNKNOWN + "a"


def test_a_character_is_held_back_until_its_last_byte() -> None:
    stream = Utf8Stream(ByteTokenizer())
    # "é" is C3 A9, "€" is E2 82 AC.
    assert [stream.feed(byte) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert stream.finish() == ""


def test_half_a_character_at_the_end_becomes_the_replacement_character() -> None:
    stream = Utf8Stream(ByteTokenizer())
    assert stream.feed(0xC3) == ""
    assert stream.finish() == UNKNOWN


def test_a_character_tokenizer_survives_its_file() -> None:
    tokenizer = CharTokenizer('"\\\né🙂')
    again = from_bytes(tokenizer.file_name, tokenizer.to_bytes())
    assert again.token_bytes == tokenizer.token_bytes
    assert again.encode("🙂\n").tolist() == [5, 3]


def test_the_character_file_is_readable_json() -> None:
    assert json.loads(CharTokenizer("aé").to_bytes()) == {"kind": "char", "chars": "aé"}
    assert "é".encode() in CharTokenizer("aé").to_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"3",
        b"{}",
        b'{"chars": 3}',
        b'{"chars": ["a"]}',
        b'{"chars": "aa"}',
        '{"chars": "a\ufffd"}'.encode(),
        b"[" * 100_000,
    ],
)
def test_a_damaged_character_file_is_an_error_that_names_it(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        from_bytes("tokenizer.json", content)


def test_a_character_file_with_half_a_surrogate_pair_is_an_error() -> None:
    # JSON can spell it, UTF-8 cannot: without a check the failure would come at the first token written.
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        from_bytes("tokenizer.json", b'{"kind": "char", "chars": "a\\ud800"}')


@pytest.mark.parametrize(
    "text",
    [
        "to be, or not",
        "  leading and   many spaces  ",
        "\n\nlines\n\n",
        "tabs\tand\rreturns\r\n",
        "unseen: é ß 漢字 🙂",
        "\N{LATIN SMALL LIGATURE FI} \N{KELVIN SIGN} e\N{COMBINING ACUTE ACCENT}",
    ],
)
def test_sentencepiece_gives_any_text_back_unchanged(pieces: SentencePieceTokenizer, text: str) -> None:
    assert decode(pieces, pieces.encode(text)) == text


def test_sentencepiece_never_needs_the_unknown_token(pieces: SentencePieceTokenizer) -> None:
    assert pieces.unk_id not in pieces.encode("漢字 🙂 \x01")


def test_sentencepiece_keeps_line_feeds_apart(pieces: SentencePieceTokenizer) -> None:
    (line_feed,) = pieces.encode("\n")
    assert pieces.token_bytes[line_feed] == b"\n"
    assert all(b"\n" not in piece or len(piece) == 1 for piece in pieces.token_bytes)
    # A piece of its own, beside the one of the byte 0x0A.
    assert list(pieces.token_bytes).count(b"\n") == 2


def test_sentencepiece_is_shorter_than_characters_on_its_own_text(pieces: SentencePieceTokenizer) -> None:
    assert len(pieces.encode(LINES[0])) < len(LINES[0])
    assert vocab_size(pieces) == 290


def test_sentencepiece_knows_one_character_it_cannot_keep(pieces: SentencePieceTokenizer) -> None:
    assert decode(pieces, pieces.encode("a\u2581b")) == "a b"


def test_a_sentencepiece_model_survives_its_file(pieces: SentencePieceTokenizer) -> None:
    again = from_bytes(pieces.file_name, pieces.to_bytes())
    assert again.token_bytes == pieces.token_bytes
    assert again.encode(LINES[1]).tolist() == pieces.encode(LINES[1]).tolist()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00\xff" * 50])
def test_a_foreign_sentencepiece_file_is_an_error_that_names_it(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.model"):
        from_bytes("tokenizer.model", content)


@pytest.mark.parametrize("size", [100, 5000])
def test_an_impossible_vocabulary_is_an_error_that_says_what_to_try(size: int) -> None:
    with pytest.raises(DataError, match=str(size)) as caught:
        SentencePieceTokenizer.train(iter(LINES * 20), size)
    assert "--vocab-size" in caught.value.hint
