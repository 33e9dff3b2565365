from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seqgen.config import TextConfig, Tokens
from seqgen.data import text
from seqgen.data.corpus import Corpus, TokenSpan, build_corpus, open_text
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.data.tokens import TokenIds, decode
from seqgen.errors import DataError

BOM = b"\xef\xbb\xbf"


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


def counting_span(folder: Path, length: int) -> TokenSpan:
    """A span in which each token is its own place."""
    path = folder / "tokens.bin"
    np.arange(length, dtype=np.uint16).tofile(path)
    return TokenSpan(path, "uint16", 0, length)


def corpus_of(
    folder: Path,
    content: str,
    warn: Callable[[str], None] = no_warning,
    *,
    valid: str = "0.1",
    tokens: Tokens = "char",
) -> Corpus:
    source = folder / "source.txt"
    source.write_text(content, encoding="utf-8", newline="")
    return build_corpus(TextConfig(paths=(str(source),), valid=valid, tokens=tokens), folder / "data", warn)


def content_of(corpus: Corpus, span: TokenSpan | None) -> str:
    assert span is not None
    return decode(corpus.tokenizer, span.read(0, len(span)))


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


# Spans --------------------------------------------------------------------------------------------------------


def test_a_span_counts_from_its_own_start(tmp_path: Path) -> None:
    whole = counting_span(tmp_path, 10)
    span = TokenSpan(whole.path, whole.dtype, 3, 8)
    assert len(span) == 5
    assert span.read(1, 3).tolist() == [4, 5]
    assert span.read(1, 3).dtype == np.int64


def test_a_circular_reading_goes_on_at_the_beginning(tmp_path: Path) -> None:
    whole = counting_span(tmp_path, 10)
    span = TokenSpan(whole.path, whole.dtype, 3, 8)
    # The span holds 3 4 5 6 7; place 4 is its last, place -2 the one before that.
    assert span.read_circular([0, 4, -2], 3).tolist() == [[3, 4, 5], [7, 3, 4], [6, 7, 3]]


# Corpora ------------------------------------------------------------------------------------------------------


def test_the_split_is_nanogpts(tmp_path: Path) -> None:
    content = "".join(chr(ord("a") + i % 26) for i in range(1003))
    corpus = corpus_of(tmp_path, content)
    # nanoGPT: the first int(1003 * 0.9) = int(902.7) = 902 tokens train, the other 101 validate.
    assert content_of(corpus, corpus.train) == content[:902]
    assert content_of(corpus, corpus.valid) == content[902:]


@pytest.mark.parametrize("block", [2, 7])
def test_a_corpus_does_not_depend_on_the_block_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    content = "naïve 🙂 text\n" * 10
    corpus = corpus_of(tmp_path, content, valid="0")
    assert content_of(corpus, corpus.train) == content


@pytest.mark.parametrize("block", [2, 7])
def test_no_word_is_cut_where_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    corpus = corpus_of(tmp_path, "seven words are\nin these two lines\n" * 3, valid="0", tokens="word")
    assert content_of(corpus, corpus.train) == "seven words are \nin these two lines \n" * 3
    assert isinstance(corpus.tokenizer, WordTokenizer)


def test_several_files_are_one_text_in_the_order_given(tmp_path: Path) -> None:
    paths = tuple(write(tmp_path / name, content) for name, content in (("z", b"first\n"), ("a", BOM + b"second\n")))
    corpus = build_corpus(TextConfig(paths=paths, valid="0"), tmp_path / "data", no_warning)
    assert content_of(corpus, corpus.train) == "first\nsecond\n"


def test_no_validation_part_when_none_is_wanted(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "abcdefgh", valid="0")
    assert corpus.valid is None
    assert len(corpus.train) == 8


def test_validation_may_come_from_a_path_and_adds_no_characters(tmp_path: Path) -> None:
    valid = write(tmp_path / "valid.txt", b"baxb")
    corpus = corpus_of(tmp_path, "abababab", valid=valid)
    assert content_of(corpus, corpus.train) == "abababab"
    assert corpus.valid is not None
    # a is 1, b is 2; x never appears in training and is unknown.
    assert corpus.valid.read(0, 4).tolist() == [2, 1, 0, 2]
    assert len(corpus.tokenizer.token_bytes) == 3


@pytest.mark.parametrize("block", [2, 2**20])
def test_more_than_255_characters_widen_the_token_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(text, "BLOCK", block)
    # 300 characters plus the unknown one: ids 1 to 300, and a second round that needs the wide ones again.
    content = "".join(chr(0x100 + i) for i in range(300)) * 2
    corpus = corpus_of(tmp_path, content, valid="0")
    assert corpus.train.dtype == "uint16"
    assert corpus.train.path.stat().st_size == 2 * 600
    assert content_of(corpus, corpus.train) == content


def test_255_characters_still_take_one_byte_each(tmp_path: Path) -> None:
    content = "".join(chr(0x100 + i) for i in range(255))
    corpus = corpus_of(tmp_path, content, valid="0")
    assert corpus.train.path.stat().st_size == 255
    assert content_of(corpus, corpus.train) == content


def test_more_than_65535_characters_widen_it_again(tmp_path: Path) -> None:
    points = [p for p in range(0x100, 0x12000) if not 0xD800 <= p < 0xE000 and p not in (0xFEFF, 0xFFFD)]
    content = " ".join(chr(p) for p in points if unicodedata.is_normalized("NFC", chr(p)))
    assert len(set(content)) > 65_536
    corpus = corpus_of(tmp_path, content, valid="0")
    assert corpus.train.dtype == "uint32"
    assert content_of(corpus, corpus.train) == content


def test_a_reopened_corpus_is_the_same_without_its_source(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "abc " * 50)
    (tmp_path / "source.txt").unlink()
    again = build_corpus(TextConfig(paths=("gone.txt",)), tmp_path / "data", no_warning)
    assert (again.train, again.valid) == (corpus.train, corpus.valid)
    assert again.tokenizer.to_bytes() == corpus.tokenizer.to_bytes()


def test_a_corpus_whose_token_file_was_cut_is_refused(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, "abc " * 50)
    with corpus.train.path.open("ab") as file:
        file.truncate(17)
    with pytest.raises(DataError, match=r"tokens\.bin"):
        build_corpus(TextConfig(paths=("gone.txt",)), tmp_path / "data", no_warning)


def test_what_a_killed_tokenisation_left_is_made_anew(tmp_path: Path) -> None:
    write(tmp_path / "data/tokens.bin", b"half")
    corpus = corpus_of(tmp_path, "abcabc", valid="0")
    assert content_of(corpus, corpus.train) == "abcabc"


def test_one_token_is_too_short_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 token to train on"):
        corpus_of(tmp_path, "a", valid="0")


def test_a_validation_part_too_short_to_predict_is_none_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    corpus = corpus_of(tmp_path, "abcdefgh", warnings.append)
    assert corpus.valid is None
    assert any("validation" in warning for warning in warnings)


def test_a_sentencepiece_corpus_gives_its_text_back(tmp_path: Path) -> None:
    content = "the cat sat on the mat\nand the dog sat too\n" * 40
    path = write(tmp_path / "a.txt", content.encode())
    config = TextConfig(paths=(path,), tokens="sentencepiece", vocab_size=272)
    corpus = build_corpus(config, tmp_path / "data", no_warning)
    assert content_of(corpus, corpus.train) + content_of(corpus, corpus.valid) == content
    assert len(corpus.train) + len(corpus.valid or ()) < len(content)


def test_sentencepiece_learns_from_the_training_part_only(tmp_path: Path) -> None:
    content = "the cat sat on the mat\n" * 90 + "quixotic zebras\n" * 10
    path = write(tmp_path / "a.txt", content.encode())
    config = TextConfig(paths=(path,), tokens="sentencepiece", vocab_size=269)
    corpus = build_corpus(config, tmp_path / "data", no_warning)
    assert not any(b"q" in piece and len(piece) > 1 for piece in corpus.tokenizer.token_bytes)


# Pipes --------------------------------------------------------------------------------------------------------


def feed(pipe: Path, content: bytes) -> threading.Thread:
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    thread.start()
    return thread


def test_a_named_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    writer = feed(tmp_path / "pipe", b"abcabcabc")
    config = TextConfig(paths=(str(tmp_path / "pipe"),), valid="0")
    corpus = build_corpus(config, tmp_path / "data", no_warning)
    writer.join(timeout=5)
    assert content_of(corpus, corpus.train) == "abcabcabc"


def test_two_named_pipes_are_read_once_each(tmp_path: Path) -> None:
    writers = [feed(tmp_path / name, content) for name, content in (("one", b"aaaa"), ("two", b"bbbb"))]
    config = TextConfig(paths=(str(tmp_path / "one"), str(tmp_path / "two")), valid="0")
    corpus = build_corpus(config, tmp_path / "data", no_warning)
    for writer in writers:
        writer.join(timeout=5)
    assert content_of(corpus, corpus.train) == "aaaa\nbbbb"


def test_a_pipe_between_files_keeps_its_place(tmp_path: Path) -> None:
    first, last = write(tmp_path / "first", b"aaaa"), write(tmp_path / "last", b"cccc")
    writer = feed(tmp_path / "pipe", b"bbbb")
    config = TextConfig(paths=(first, str(tmp_path / "pipe"), last), valid="0")
    corpus = build_corpus(config, tmp_path / "data", no_warning)
    writer.join(timeout=5)
    assert content_of(corpus, corpus.train) == "aaaa\nbbbb\ncccc"


# Evaluation ---------------------------------------------------------------------------------------------------


def test_a_text_is_opened_with_a_known_tokenizer(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"abxa")
    span = open_text([path], CharTokenizer("ab"), tmp_path, warn=no_warning)
    assert span.read(0, len(span)).tolist() == [1, 2, 0, 1]


def test_the_tail_of_a_text_is_its_validation_part(tmp_path: Path) -> None:
    content = "".join(chr(ord("a") + i % 26) for i in range(1003))
    corpus = corpus_of(tmp_path, content)
    span = open_text([str(tmp_path / "source.txt")], corpus.tokenizer, tmp_path, warn=no_warning, tail=0.1)
    assert content_of(corpus, span) == content_of(corpus, corpus.valid)


def test_one_token_is_too_short_to_judge_by(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"a")
    with pytest.raises(DataError, match=r"a\.txt: 1 token,"):
        open_text([path], CharTokenizer("ab"), tmp_path, warn=no_warning)


# Normalised, joined, counted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", ["char", "word", "sentencepiece"])
def test_a_text_is_read_alike_however_its_lines_end_and_its_letters_are_written(tmp_path: Path, tokens: Tokens) -> None:
    content = "die M\u00e4nner rennen\ndie Hunde spielen\n" * 40
    nfd = unicodedata.normalize("NFD", content)
    variants = (content, nfd, content.replace("\n", "\r\n"), nfd.replace("\n", "\r"), "\ufeff" + content)
    corpora = []
    for i, variant in enumerate(variants):
        folder = tmp_path / str(i)
        folder.mkdir()
        corpora.append(corpus_of(folder, variant, lambda message: None, tokens=tokens))
    first, *others = corpora
    for other in others:
        assert other.tokenizer.to_bytes() == first.tokenizer.to_bytes()
        assert other.train.read(0, len(other.train)).tolist() == first.train.read(0, len(first.train)).tolist()
    judged = [
        open_text([str(tmp_path / f"{i}/source.txt")], first.tokenizer, tmp_path, warn=no_warning)
        for i in range(len(variants))
    ]
    assert len({(len(span), span.chars_per_token) for span in judged}) == 1


def test_a_corpus_in_decomposed_letters_does_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = unicodedata.normalize("NFD", "Vi\u1ec7t Nam \ud55c\uad6d\uc5b4 M\u00e4nner\r\n") * 5
    monkeypatch.setattr(text, "BLOCK", 1)
    corpus = corpus_of(tmp_path, content, valid="0")
    assert content_of(corpus, corpus.train) == "Vi\u1ec7t Nam \ud55c\uad6d\uc5b4 M\u00e4nner\n" * 5


@pytest.mark.parametrize("tokens", ["char", "word", "sentencepiece"])
def test_the_end_of_a_file_is_the_end_of_a_line(tmp_path: Path, tokens: Tokens) -> None:
    contents = (b"alpha beta", b"gamma delta\n", b"", b"epsilon\r\n", b"zeta\r", b"\xef\xbb\xbfeta theta")
    paths = tuple(write(tmp_path / f"{i}.txt", content) for i, content in enumerate(contents))
    config = TextConfig(paths=paths, valid="0", tokens=tokens)
    corpus = build_corpus(config, tmp_path / "data", lambda message: None)
    joined = "alpha beta\ngamma delta\nepsilon\nzeta\neta theta"
    wanted = joined if tokens != "word" else "alpha beta \ngamma delta \nepsilon \nzeta \neta theta "
    assert content_of(corpus, corpus.train) == wanted
    span = open_text(paths, corpus.tokenizer, tmp_path, warn=no_warning)
    assert span.read(0, len(span)).tolist() == corpus.train.read(0, len(corpus.train)).tolist()


def test_the_characters_of_words_are_those_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "Zebras munch   gr\u00e4ss.\n".encode())
    words = WordTokenizer(["the", "munch"], rule="text")
    span = open_text([path], words, tmp_path, warn=no_warning)
    # Zebras is given; " munch", "   gr\u00e4ss." and "\n" are predicted: 6 + 9 + 1 characters of 3 tokens, 1 unknown.
    assert span.read(0, 4).tolist() == [0, 3, 0, 1]
    assert span.chars_per_token * (len(span) - 1) == pytest.approx(16)
    assert span.count(words.unk_id) == 1
    assert not (tmp_path / "lengths.bin").exists()


def test_a_tail_counts_its_own_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"a\n" * 8 + b"longer words\n")
    words = WordTokenizer(["a"], rule="text")
    # The last 4 of 19 tokens: "\n", then "longer", " words", "\n".
    span = open_text([path], words, tmp_path, warn=no_warning, tail=4 / 19)
    assert len(span) == 4
    assert span.chars_per_token * 3 == pytest.approx(13)


def test_a_smaller_vocabulary_counts_the_same_characters(tmp_path: Path) -> None:
    content = "the cat sat on the mat and looked at the door of the house\n" * 30
    for size in (3, 8, 100):
        folder = tmp_path / str(size)
        path = write(folder / "a.txt", content.encode())
        config = TextConfig(paths=(path,), valid="0", tokens="word", vocab_size=size)
        corpus = build_corpus(config, folder / "data", lambda message: None)
        assert corpus.train.chars_per_token * (len(corpus.train) - 1) == pytest.approx(len(content) - 3)
        again = build_corpus(config, folder / "data", no_warning)
        assert again.train == corpus.train


@pytest.mark.parametrize(
    ("tokens", "content", "size", "unknown"),
    [
        ("char", "abc " * 30, 0, False),
        ("char", "ab\ufffdc " * 30, 0, True),
        ("word", "a b c " * 30, 0, False),
        ("word", "a a a b b c " * 30, 4, True),
        ("word", "a <unk> " * 30, 0, True),
        ("sentencepiece", "some \ufffd words " * 30, 280, False),
    ],
)
def test_the_tokenizer_says_whether_the_training_text_had_unknown_tokens(
    tmp_path: Path, tokens: Tokens, content: str, size: int, unknown: bool
) -> None:
    path = write(tmp_path / "a.txt", content.encode())
    config = TextConfig(paths=(path,), valid="0", tokens=tokens, vocab_size=size)
    corpus = build_corpus(config, tmp_path / "data", lambda message: None)
    assert corpus.tokenizer.unknown_in_training == unknown


def test_more_words_than_there_are_become_those_there_are_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"one two two\n" * 20)
    warnings: list[str] = []
    config = TextConfig(paths=(path,), valid="0", tokens="word", vocab_size=50)
    corpus = build_corpus(config, tmp_path / "data", warnings.append)
    assert len(corpus.tokenizer.token_bytes) == 4
    assert warnings == ["this text has at most 4 words, not 50: the vocabulary has 4"]


def test_a_line_without_end_is_not_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgen.data.corpus.BLOCK", 64)
    monkeypatch.setattr(text, "BLOCK", 64)
    seen: list[int] = []
    lengths = WordTokenizer.lengths

    def spy(tokenizer: WordTokenizer, part: str, token_ids: TokenIds) -> NDArray[np.int64]:
        seen.append(len(part))
        return lengths(tokenizer, part, token_ids)

    monkeypatch.setattr(WordTokenizer, "lengths", spy)
    path = write(tmp_path / "a.txt", b"word and word " * 500)
    corpus = build_corpus(TextConfig(paths=(path,), valid="0", tokens="word"), tmp_path / "data", no_warning)
    assert content_of(corpus, corpus.train) == "word and word " * 500
    assert max(seen) <= 64
