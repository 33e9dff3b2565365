from __future__ import annotations

import random

import pytest

from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import vocab_size

PAIRS = [
    ("Ein Hund läuft über die Wiese.", "A dog runs across the meadow."),
    ("Zwei Männer spielen Fußball.", "Two men are playing football."),
    ("Ein Mädchen sitzt auf der Wiese.", "A girl sits in the meadow."),
]
SENTENCES = [line for pair in PAIRS * 9 for line in pair]


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


def words_of(count: int) -> list[str]:
    """Words that a vocabulary can learn something from, in no order."""
    generator = random.Random(0)
    syllables = ["ba", "de", "gi", "ko", "lu", "man", "nor", "pes"]
    return ["".join(generator.choices(syllables, k=generator.randint(1, 3))) for _ in range(count)]


def test_where_lines_end_does_not_matter_to_the_pieces_of_a_running_text() -> None:
    words = words_of(3000)
    one_line = " ".join(words)
    folded = "\n".join(" ".join(words[i : i + 7]) for i in range(0, len(words), 7)) + "\n"
    with_spaces = "".join(f"{word} \n" if i % 5 == 0 else f"{word} " for i, word in enumerate(words))  # as `fold -s`
    blank = folded.replace("\n", "\n\n")
    models = [
        SentencePieceTokenizer.train([text], 320, warn=no_warning).to_bytes()
        for text in (one_line, folded, with_spaces, blank)
    ]
    assert len(one_line) > 4192
    assert len(set(models)) == 1
    # Parts cut anywhere between words make the same.
    parts = [one_line[:500], one_line[500:]] if one_line[500] == " " else [one_line]
    assert SentencePieceTokenizer.train(parts, 320).to_bytes() == models[0]


def test_words_begin_lines_as_well_as_follow_spaces() -> None:
    tokenizer = SentencePieceTokenizer.train([" ".join(["banana"] * 600)], 264)
    pieces = {tokenizer.piece(i) for i in range(vocab_size(tokenizer))}
    assert "b" in pieces
    assert {piece for piece in pieces if piece.startswith("\u2581b")}


@pytest.mark.parametrize("sentences", [False, True])
def test_lines_of_any_length_count(sentences: bool) -> None:
    # "qu" stands in a line of 10,000 bytes only, and in one without a space.
    lines = ["plain words only"] * 40 + ["quick " * 1700, "quiz" * 3000]
    tokenizer = SentencePieceTokenizer.train(lines, 300, sentences=sentences)
    pieces = [tokenizer.piece(i) for i in range(vocab_size(tokenizer))]
    assert any("qu" in piece for piece in pieces)
    assert "z" in pieces or any("z" in piece for piece in pieces)


@pytest.mark.parametrize("sentences", [False, True])
def test_lines_with_what_the_trainer_reserves_count(sentences: bool) -> None:
    lines = ["plain words only"] * 40 + ["quick \u2585 quiz"] * 20
    tokenizer = SentencePieceTokenizer.train(lines, 290, sentences=sentences, warn=lambda message: None)
    pieces = [tokenizer.piece(i) for i in range(vocab_size(tokenizer))]
    assert any("qui" in piece for piece in pieces)
    # The character itself is spelt by its bytes.
    assert bytes(b"".join(tokenizer.token_bytes[i] for i in tokenizer.encode("\u2585"))).decode().strip() == "\u2585"


def test_a_character_that_comes_back_as_a_space_is_warned_about() -> None:
    warnings: list[str] = []
    SentencePieceTokenizer.train(["one\u2581two"] * 9, 270, warn=warnings.append)
    assert "U+2581" in warnings[0]


@pytest.mark.parametrize("sentences", [False, True])
@pytest.mark.parametrize(("size", "bound"), [(1, "least"), (100, "least"), (262, "least"), (5000, "most")])
def test_a_size_that_the_text_cannot_fill_becomes_the_nearest_that_it_can(
    size: int, bound: str, sentences: bool
) -> None:
    warnings: list[str] = []
    tokenizer = SentencePieceTokenizer.train(SENTENCES, size, sentences=sentences, warn=warnings.append)
    made = vocab_size(tokenizer)
    assert warnings == [f"this text makes at {bound} {made} pieces, not {size}: the vocabulary has {made}"]
    # The bytes, the special tokens, the line feed of running text, and every character of the sentences.
    characters = set("".join(SENTENCES)) - {" "} | {"\u2581"}
    if bound == "least":
        assert made == 256 + (4 if sentences else 2) + len(characters)
    else:
        assert 256 + len(characters) < made < size
    again = SentencePieceTokenizer.train(SENTENCES, made, sentences=sentences, warn=no_warning)
    assert vocab_size(again) == made


def test_a_size_that_the_text_fills_is_kept() -> None:
    tokenizer = SentencePieceTokenizer.train(SENTENCES, 302, sentences=True, warn=no_warning)
    assert vocab_size(tokenizer) == 302
