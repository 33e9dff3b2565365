from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqgen.data import normalization
from seqgen.data.normalization import known_rule, normalize, normalize_blocks
from seqgen.errors import ModelError

BOM = "\ufeff"
ACUTE, GRAVE_BELOW, DIAERESIS = "\u0301", "\u0316", "\u0308"
# Whatever tends to go wrong at a border: marks, line ends, byte order marks, Hangul and Indic letters in parts.
AWKWARD = (
    f"ae\n\r {BOM}{ACUTE}{GRAVE_BELOW}{DIAERESIS}\u1100\u1161\u11a8\uac00\u09c7\u09be\u3000\u2126\U0001d157\U0001d165"
)

steady = settings(max_examples=300, deadline=None, database=None, derandomize=True)
texts = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=30)


@pytest.mark.parametrize(
    ("text", "sentence", "running"),
    [
        ("Ein\tHund rennt.", "Ein Hund rennt.", "Ein\tHund rennt."),
        ("\t", "", "\t"),
        ("\u00a0\u3000", "", "\u00a0\u3000"),
        ("a\u2028b\x85c\x0bd\x1ce\u200af", "a b c d e f", "a\u2028b\x85c\x0bd\x1ce\u200af"),
        ("Ein Hund.\r", "Ein Hund.", "Ein Hund.\n"),
        ("one\r\ntwo\rthree\nfour\r\r\n", "one two three four", "one\ntwo\nthree\nfour\n\n"),
        (f"{BOM}one {BOM}two", "one two", "one two"),
        ("Ma\u0308nner", "M\u00e4nner", "M\u00e4nner"),
        ("Vie\u0323\u0302t", "Vi\u1ec7t", "Vi\u1ec7t"),
        ("Vie\u0302\u0323t", "Vi\u1ec7t", "Vi\u1ec7t"),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", "\ud55c\uad6d", "\ud55c\uad6d"),
        (f"a{BOM}{DIAERESIS}", "\u00e4", "\u00e4"),
        # Compatible is not the same: ligatures and full-width letters stay.
        ("\ufb01 \uff21", "\ufb01 \uff21", "\ufb01 \uff21"),
        # A zero-width space is not white space to str.split.
        ("a\u200bb", "a\u200bb", "a\u200bb"),
    ],
)
def test_what_the_rules_do(text: str, sentence: str, running: str) -> None:
    assert normalize(text, "sentences") == sentence
    assert normalize(text, "text") == running
    assert normalize(text, "none") == text


@steady
@given(texts)
@example("\r\ufeff\n")
@example("e\ufeff\u0301")
def test_twice_is_as_once(text: str) -> None:
    for rule in ("text", "sentences"):
        once = normalize(text, rule)
        assert normalize(once, rule) == once
        assert unicodedata.is_normalized("NFC", once)


@steady
@given(texts, st.integers(1, 5))
@example("\r\ufeff\n", 1)
@example("a\ufeff\ufeff\u0301b", 1)
@example("\u1100\u1161\u11a8", 1)
@example("a\u0301\u0316\u0308" * 5, 2)
def test_borders_of_blocks_leave_no_trace(text: str, size: int) -> None:
    blocks = [text[i : i + size] for i in range(0, len(text), size)]
    assert "".join(normalize_blocks(blocks, "text")) == normalize(text, "text")
    assert "".join(normalize_blocks(blocks, "none")) == text
    assert "" not in list(normalize_blocks([*blocks, ""], "text"))


def test_every_character_that_joins_what_is_before_it_is_known_to() -> None:
    # The second halves of all canonical decompositions, and all that is reordered, by Python's own tables.
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        decomposed = unicodedata.decomposition(character)
        if decomposed and not decomposed.startswith("<"):
            for code in decomposed.split()[1:]:
                assert normalization._joins(chr(int(code, 16))), code
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0]):
            assert normalization._joins(character), hex(point)


def test_a_text_of_marks_alone_is_not_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalization, "_LONGEST_REST", 10)
    longest = max(map(len, normalize_blocks([ACUTE * 4] * 100, "text")))
    assert longest < 20


def test_blocks_are_handed_on_as_they_come() -> None:
    blocks = iter(["one\n", "two\n", "three\n"])
    parts = normalize_blocks(blocks, "text")
    assert next(parts) == "one"
    assert next(blocks) == "two\n"


def test_a_rule_of_another_version_is_an_error() -> None:
    assert known_rule("sentences", "tokenizer.json") == "sentences"
    for name in ("nfkd", 3, None, ["text"]):
        with pytest.raises(ModelError, match=r"tokenizer\.json names a normalization"):
            known_rule(name, "tokenizer.json")
