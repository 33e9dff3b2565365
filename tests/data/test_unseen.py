"""What a vocabulary does not have."""

from __future__ import annotations

from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.data.unseen import Unseen


def test_words_are_named_by_a_model_of_words() -> None:
    tokenizer = WordTokenizer(["The", "cat"], rule="text")
    assert tokenizer.unseen("The zebra") == ["zebra"]
    assert tokenizer.unseen("The\u00a0gnu \ncat Gnu gnu\ufeff") == ["gnu", "Gnu", "gnu"]
    assert tokenizer.unseen(" ") == []


def test_characters_are_named_by_a_model_of_characters() -> None:
    tokenizer = CharTokenizer("ab \u00fc", rule="text")
    assert tokenizer.unseen("ab xay u\u0308x") == ["x", "y", "x"]


def test_characters_without_a_piece_are_named_by_a_model_of_pieces() -> None:
    lines = ["Ein Hund rennt.", "Zwei M\u00e4nner.", "Die Katze schl\u00e4ft 12 3 Stunden."] * 3
    for sentences in (True, False):
        tokenizer = SentencePieceTokenizer.train(lines, 300, sentences=sentences)
        assert tokenizer.unseen("Ein Hund \u732b Ma\u0308nner \u732b\U0001f642") == ["\u732b", "\u732b", "\U0001f642"]
        assert tokenizer.unseen("tnner 321 ") == []


def test_what_was_never_seen_is_told_in_a_sentence() -> None:
    unseen = Unseen()
    unseen.add(["zebra"])
    assert str(unseen) == "the model has never seen 'zebra'"
    unseen.add(["gnu", "zebra"])
    assert str(unseen) == "the model has never seen 'zebra', 'gnu', 3 times in all"
    unseen.add(f"w{i}" for i in range(100_000))
    assert str(unseen).startswith("the model has never seen 'zebra', 'gnu', 'w0', 'w1', 'w2' and others, 100003 times")
