from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqgen.data.normalization import Rule
from seqgen.data.pieces import SentencePieceTokenizer, with_rule
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import UNKNOWN, TokenIds, Tokenizer, Utf8Stream, decode, vocab_size
from seqgen.errors import DataError, ModelError

LINES = ["to be, or not to be: that is the question", "whether 'tis nobler in the mind to suffer", "  two  spaces"]


class ByteTokenizer:
    """Every byte is a token: the hardest case for decoding in pieces."""

    file_name = "none"
    unk_id = 0
    begins_with_space = False
    rule: Rule = "none"
    unknown_in_training = False

    @property
    def token_bytes(self) -> Sequence[bytes]:
        return [bytes([i]) for i in range(256)]

    def normalize(self, text: str) -> str:
        return text

    def encode(self, text: str) -> TokenIds:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def unseen(self, text: str) -> list[str]:
        return []

    def lengths(self, text: str, token_ids: TokenIds) -> NDArray[np.int64]:
        return np.where(token_ids & 0xC0 == 0x80, 0, 1)

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
    content = CharTokenizer("aé", rule="text").to_bytes()
    assert json.loads(content) == {"kind": "char", "normalization": "text", "unknown_in_training": False, "chars": "aé"}
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


def test_words_are_kept_by_frequency_then_by_place() -> None:
    words = WordTokenizer.train(["b a a c\n", "c\td <unk> a"], vocab_size=5)
    assert words.words == ["<unk>", "\n", "a", "c", "b"]
    assert words.encode("a  c\n d <unk> b").tolist() == [2, 3, 1, 0, 0, 4]
    assert decode(words, [2, 3, 1, 0, 4]) == "a c \n<unk> b "
    assert words.encode("").dtype == np.int64


def test_a_word_tokenizer_survives_its_file() -> None:
    words = WordTokenizer(["caf\u00e9", "word", '"', "\\"])
    again = from_bytes(words.file_name, words.to_bytes())
    assert isinstance(again, WordTokenizer)
    assert again.words == words.words


@pytest.mark.parametrize(
    "words", ["[3]", '["a", "a"]', '["a b"]', '[""]', '["\\n"]', '["<unk>"]', '"ab"', "{}", '["\\ud800"]', "[[]]"]
)
def test_a_damaged_word_file_is_an_error_that_names_it(words: str) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        from_bytes("tokenizer.json", f'{{"kind": "word", "words": {words}}}'.encode())


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
        "tabs\tand no-break\u00a0spaces",
        "unseen: é ß 漢字 🙂",
        "\N{LATIN SMALL LIGATURE FI} \N{FULLWIDTH LATIN CAPITAL LETTER A}",
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


def test_a_text_of_nothing_makes_no_pieces() -> None:
    with pytest.raises(DataError, match="no text to make pieces of"):
        SentencePieceTokenizer.train(iter(["", "\n"]), 300)


# What a file says of its text ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["none", "text", "sentences"])
def test_every_tokenizer_names_its_rule_in_its_file_and_keeps_to_it(rule: Rule, pieces: SentencePieceTokenizer) -> None:
    # The bytes of a model without a rule, as seqgen wrote them before there were rules.
    model = pieces.to_bytes().removesuffix(b"\x1a\x0d\x0a\x0bseqgen-text")
    assert SentencePieceTokenizer(model).rule == "none"
    tokenizers: list[Tokenizer] = [
        CharTokenizer("a\u0308\u00e4\r\t \n", rule=rule),
        WordTokenizer(["\u00e4", "a\u0308"], rule=rule),
        SentencePieceTokenizer(model if rule == "none" else with_rule(model, rule)),
    ]
    for tokenizer in tokenizers:
        again = from_bytes(tokenizer.file_name, tokenizer.to_bytes())
        assert again.rule == rule
        text = "\ufeffa\u0308\ta\u0308\r\n"
        wanted = {"none": text, "text": "\u00e4\t\u00e4\n", "sentences": "\u00e4 \u00e4"}[rule]
        assert again.normalize(text) == wanted
        plain = SentencePieceTokenizer(model) if isinstance(again, SentencePieceTokenizer) else None
        if plain is not None:
            assert again.encode(text).tolist() == plain.encode(wanted).tolist()
        assert again.encode(text).tolist() == again.encode(wanted).tolist()


def test_a_file_of_before_there_were_rules_has_none() -> None:
    chars = from_bytes("tokenizer.json", b'{"kind": "char", "chars": "ab"}')
    words = from_bytes("tokenizer.json", b'{"kind": "word", "words": ["a"]}')
    assert (chars.rule, words.rule) == ("none", "none")
    # It could not say whether its words were all of them; of characters it always knew all.
    assert (chars.unknown_in_training, words.unknown_in_training) == (False, True)


@pytest.mark.parametrize("field", ['"normalization": "nfkd"', '"normalization": []', '"unknown_in_training": 1'])
@pytest.mark.parametrize("kind", ['"kind": "char", "chars": "ab"', '"kind": "word", "words": ["a"]'])
def test_a_file_with_fields_that_mean_nothing_is_an_error(kind: str, field: str) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        from_bytes("tokenizer.json", f"{{{kind}, {field}}}".encode())


def test_pieces_with_bytes_know_everything(pieces: SentencePieceTokenizer) -> None:
    assert not pieces.unknown_in_training


# Lengths ------------------------------------------------------------------------------------------------------


def test_lengths_of_words_are_those_of_the_text() -> None:
    words = WordTokenizer(["a", "word"], rule="text")
    text = "  a  zebra\n\tword\n \n a "
    # "  a", "  zebra", "\n", "\tword", "\n", " \n", " a" and the space after it.
    assert words.lengths(text, words.encode(text)).tolist() == [3, 7, 1, 5, 1, 2, 3]
    assert words.lengths("  ", words.encode("  ")).tolist() == []


def test_a_multi_byte_character_has_length_one(pieces: SentencePieceTokenizer) -> None:
    text = "naïve café 漢字 🙂\n" * 3
    chars = CharTokenizer("naïve")
    assert chars.lengths(text, chars.encode(text)).tolist() == [1] * len(text)
    assert pieces.lengths(text, pieces.encode(text)).sum() == len(text)
    assert pieces.lengths("to be", pieces.encode("to be")).max() > 1


# Sentences ----------------------------------------------------------------------------------------------------

PAIRS = [
    ("Ein Hund läuft über die Wiese.", "A dog runs across the meadow."),
    ("Zwei Männer spielen Fußball.", "Two men are playing football."),
    ("Ein Mädchen sitzt auf der Wiese.", "A girl sits in the meadow."),
]


@functools.cache
def sentence_pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train((line for pair in PAIRS * 9 for line in pair), 302, sentences=True)


# The same examples in every run: a test that fails today fails tomorrow.
steady = settings(max_examples=100, deadline=None, database=None, derandomize=True)
sentences = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40)


def tidy(text: str) -> str:
    """White space of any kind is a space; no byte order marks; letters and marks composed."""
    return unicodedata.normalize("NFC", " ".join(text.replace("\ufeff", "").split()))


@steady
@given(sentences)
@example("  two  spaces   at each end  ")
@example("   ")
@example(" \t tab \u00a0 no-break \u3000 ideographic \u2028 line \x85 next \x0b vertical \r")
@example("👩\u200d🚀 🇩🇪 e\N{COMBINING ACUTE ACCENT} \ufeff \ufffd 漢字 \0\x1b")
@example("<s> </s> <unk> <pad> <0x41> <0x0A>")
@example("\n line feed \n")
def test_a_sentence_comes_back_with_its_spaces_tidied(content: str) -> None:
    tokenizer = sentence_pieces()
    ids = tokenizer.encode(content).tolist()
    assert decode(tokenizer, ids) == tidy(content)
    assert not set(ids) & {tokenizer.unk_id, tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}


@steady
@given(st.lists(st.integers(0, 301), max_size=30))
@example([2, 260])  # a special token and a space
@example([260, *range(302)])
def test_any_tokens_of_sentences_decode_alike_one_by_one_and_at_once(ids: list[int]) -> None:
    stream = Utf8Stream(sentence_pieces())
    assert "".join(map(stream.feed, ids)) + stream.finish() == decode(sentence_pieces(), ids)


def test_only_the_space_that_the_model_put_before_a_sentence_is_dropped() -> None:
    tokenizer = sentence_pieces()
    space = [i for i, piece in enumerate(tokenizer.token_bytes) if piece == b" " and tokenizer.piece(i) == "\u2581"]
    assert decode(tokenizer, space * 3) == "  "
    # A special token before it does not count as text.
    assert decode(tokenizer, [tokenizer.bos_id, *tokenizer.encode("Ein Hund"), tokenizer.eos_id]) == "Ein Hund"


def test_a_word_is_the_same_piece_at_the_start_of_a_sentence_as_inside_it() -> None:
    tokenizer = sentence_pieces()
    first, second = tokenizer.encode("Wiese"), tokenizer.encode("Wiese Wiese")
    assert second.tolist() == first.tolist() * 2


def test_sentences_have_the_special_tokens_that_running_text_has_not(pieces: SentencePieceTokenizer) -> None:
    tokenizer = sentence_pieces()
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    assert [tokenizer.piece_text(i) for i in (0, 2, 3)] == ["", "", ""]
    assert (pieces.pad_id, pieces.unk_id, pieces.bos_id, pieces.eos_id) == (-1, 0, -1, -1)


def test_the_file_alone_says_which_kind_a_model_is(pieces: SentencePieceTokenizer) -> None:
    again = SentencePieceTokenizer(sentence_pieces().to_bytes())
    assert again.begins_with_space
    assert (again.pad_id, again.eos_id) == (0, 3)
    assert decode(again, again.encode("Ein Hund")) == "Ein Hund"
    text = SentencePieceTokenizer(pieces.to_bytes())
    assert not text.begins_with_space
    assert decode(text, text.encode(" to be")) == " to be"


def test_the_same_lines_make_the_same_model() -> None:
    models = [
        SentencePieceTokenizer.train((line for pair in PAIRS * 9 for line in pair), 302, sentences=True).to_bytes()
        for _ in range(2)
    ]
    assert models[0] == models[1]


def test_pieces_are_shown_as_sentencepiece_writes_them() -> None:
    tokenizer = sentence_pieces()
    ids = tokenizer.encode("Ein 🙂")
    shown = [tokenizer.piece(i) for i in ids.tolist()]
    # U+1F642 is F0 9F 99 82 in UTF-8.
    assert "".join(shown) == "▁Ein▁<0xF0><0x9F><0x99><0x82>"
    assert tokenizer.piece(tokenizer.eos_id) == "</s>"
    assert "".join(map(tokenizer.piece_text, ids.tolist()[:-4])) == " Ein "


def test_what_a_terminal_would_obey_is_shown_escaped() -> None:
    tokenizer = SentencePieceTokenizer.train(["\x1b[31m red \u202e back"] * 9, 275, sentences=True)
    shown = [tokenizer.piece(i) for i in range(vocab_size(tokenizer))]
    assert all(piece.isprintable() for piece in shown)
    assert any("\\x1b" in piece for piece in shown)
