from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pair_texts import two_files, write

from seqgen.config import ParallelConfig
from seqgen.data import parallel, text
from seqgen.data.pair_files import read_pairs
from seqgen.data.parallel import INDEX, Pairs, ParallelCorpus, build_parallel
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import decode, vocab_size
from seqgen.errors import DataError

DATA = Path(os.environ.get("SEQGEN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
MULTI30K = DATA / "multi30k"


def no_warning(message: str) -> None:
    raise AssertionError(f"warned: {message}")


def sentences(count: int) -> list[tuple[str, str]]:
    """Pairs of which each is told from all others by its number."""
    nouns = [("Hund", "dog"), ("Katze", "cat"), ("Mädchen", "girl"), ("Straße", "street"), ("Wiese", "meadow")]
    return [
        (f"Nummer {i}: {nouns[i % 5][0]} und {nouns[i % 3][0]}.", f"Number {i}: {nouns[i % 5][1]}, {nouns[i % 3][1]}.")
        for i in range(count)
    ]


def corpus_of(
    folder: Path,
    pairs: list[tuple[str, str]],
    warn: Callable[[str], None] = no_warning,
    *,
    valid: list[tuple[str, str]] | None = None,
    joint: bool = True,
    max_tokens: int = 128,
) -> ParallelCorpus:
    config = ParallelConfig(
        paths=two_files(folder, pairs),
        valid=two_files(folder, valid, "valid") if valid else (),
        vocab_size=310 if joint else 300,
        max_tokens=max_tokens,
    )
    return build_parallel(config, joint, folder / "data", warn)


def content_of(corpus: ParallelCorpus, pairs: Pairs | None) -> list[tuple[str, str]]:
    assert pairs is not None
    sources, targets = pairs.read(np.arange(len(pairs)))
    return [
        (decode(corpus.source_tokenizer, source), decode(corpus.target_tokenizer, target))
        for source, target in zip(sources, targets, strict=True)
    ]


# Corpora ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", [True, False])
def test_a_corpus_gives_its_pairs_back(tmp_path: Path, joint: bool) -> None:
    pairs, valid = sentences(80), sentences(90)[80:]
    corpus = corpus_of(tmp_path, pairs, valid=valid, joint=joint)
    assert content_of(corpus, corpus.train) == pairs
    assert content_of(corpus, corpus.valid) == valid
    assert (corpus.source_tokenizer is corpus.target_tokenizer) == joint
    assert vocab_size(corpus.source_tokenizer) == vocab_size(corpus.target_tokenizer) == (310 if joint else 300)


def test_pairs_are_read_in_any_order_without_symbols_around_them(tmp_path: Path) -> None:
    pairs = sentences(60)
    train = corpus_of(tmp_path, pairs, valid=pairs[:1]).train
    sources, targets = train.read(np.asarray([41, 3, 3]))
    tokenizer = SentencePieceTokenizer((tmp_path / "data" / "tokenizer.model").read_bytes())
    assert [ids.tolist() for ids in sources] == [tokenizer.encode(pairs[i][0]).tolist() for i in (41, 3, 3)]
    assert [ids.tolist() for ids in targets] == [tokenizer.encode(pairs[i][1]).tolist() for i in (41, 3, 3)]
    assert sources[0].dtype == np.int64
    assert train.source_lengths[[41, 3]].tolist() == [len(sources[0]), len(sources[1])]
    assert train.target_lengths[[41, 3]].tolist() == [len(targets[0]), len(targets[1])]
    assert len(train) == len(train.source_lengths) == 60


@pytest.mark.parametrize(("joint", "size"), [(True, 265), (False, 263)])
def test_one_vocabulary_knows_both_sides_and_two_know_one_each(tmp_path: Path, joint: bool, size: int) -> None:
    # 4 special tokens, 256 bytes, and just the letters that occur.
    paths = two_files(tmp_path, [("aaa bbb aaa", "yyy zzz yyy")] * 40)
    config = ParallelConfig(paths=paths, valid=paths, vocab_size=size)
    corpus = build_parallel(config, joint, tmp_path / "data", no_warning)
    known = [b"".join(t.token_bytes[260:]).decode() for t in (corpus.source_tokenizer, corpus.target_tokenizer)]
    assert [set(letters) for letters in known] == ([set(" abyz")] * 2 if joint else [set(" ab"), set(" yz")])


def test_validation_text_is_kept_as_the_tokenizers_read_it(tmp_path: Path) -> None:
    valid = [(" zwei  Wörter\u2028", "two\rwords 漢"), ("", "passed over"), ("drei", " three\u00a0")]
    warnings: list[str] = []
    corpus = corpus_of(tmp_path, sentences(60), warnings.append, valid=valid)
    assert corpus.valid_source_lines() == ["zwei Wörter", "drei"]
    assert corpus.valid_target_lines() == ["two words 漢", "three"]
    assert content_of(corpus, corpus.valid) == [("zwei Wörter", "two words 漢"), ("drei", "three")]
    assert len(warnings) == 1


def test_pairs_that_cannot_be_used_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    pairs = sentences(60)
    pairs[4] = ("  ", "x")
    pairs[7] = ("x", "\u3000\t")
    pairs[9] = ("", "")
    pairs[11] = ("x", "🙂" * 100)
    pairs[12] = ("漢" * 200, "x")
    warnings: list[str] = []
    corpus = corpus_of(tmp_path, pairs, warnings.append, valid=sentences(1), max_tokens=60)
    assert content_of(corpus, corpus.train) == [pair for i, pair in enumerate(pairs) if i not in (4, 7, 9, 11, 12)]
    assert warnings == [
        f"3 pairs with an empty side passed over, the first at {tmp_path / 'train.de'}, line 5",
        f"2 pairs longer than 60 tokens passed over, the first at {tmp_path / 'train.en'}, line 12",
    ]


def test_a_pair_of_just_the_longest_length_is_kept(tmp_path: Path) -> None:
    pairs = sentences(60)
    lines = [side for pair in pairs for side in pair]
    tokenizer = SentencePieceTokenizer.train(lines, 310, sentences=True)
    longest = max(len(tokenizer.encode(line)) for line in lines)
    assert len(corpus_of(tmp_path / "a", pairs, valid=pairs, max_tokens=longest).train) == 60
    warnings: list[str] = []
    assert len(corpus_of(tmp_path / "b", pairs, warnings.append, valid=pairs[:1], max_tokens=longest - 1).train) < 60
    assert f"longer than {longest - 1} tokens" in warnings[0]


def test_without_validation_files_the_end_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = sentences(250)
    pairs[246:] = [("quirlige Qualle", "quirky quokka")] * 4
    corpus = corpus_of(tmp_path / "a", pairs)
    # Two percent of 250 are 5.
    assert content_of(corpus, corpus.train) == pairs[:245]
    assert content_of(corpus, corpus.valid) == pairs[245:]
    assert corpus.valid_target_lines()[-1] == "quirky quokka"
    assert not any(b"q" in piece for piece in corpus.target_tokenizer.token_bytes[260:])
    monkeypatch.setattr(parallel, "MAX_HELD_OUT", 3)
    pairs[248] = ("x", "")
    warnings: list[str] = []
    fewer = corpus_of(tmp_path / "b", pairs, warnings.append)
    assert content_of(fewer, fewer.valid) == [pairs[247], pairs[249]]
    assert warnings[0].endswith(f"{tmp_path / 'b' / 'train.en'}, line 249")


def test_too_few_pairs_to_hold_any_out_are_trained_on_with_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    corpus = corpus_of(tmp_path, sentences(49), warnings.append)
    assert corpus.valid is None
    assert len(corpus.train) == 49
    assert len(warnings) == 1
    assert "validation" in warnings[0]
    assert build_parallel(ParallelConfig(), True, tmp_path / "data", no_warning).valid is None


def test_pairs_from_pipes_are_those_of_files(tmp_path: Path) -> None:
    pairs = sentences(60)
    wanted = corpus_of(tmp_path, pairs)
    paths = two_files(tmp_path, pairs)
    pipes = []
    for path in paths:
        ours, theirs = os.pipe()
        os.write(theirs, Path(path).read_bytes())
        os.close(theirs)
        pipes.append(f"/dev/fd/{ours}")
    config = ParallelConfig(paths=tuple(pipes), vocab_size=310)
    got = build_parallel(config, True, tmp_path / "piped", lambda message: None)
    assert len(got.train) == len(wanted.train)
    assert got.train.source.path.read_bytes() == wanted.train.source.path.read_bytes()
    assert got.train.target.path.read_bytes() == wanted.train.target.path.read_bytes()


def test_a_faulty_line_of_a_pipe_is_named_as_what_was_typed(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"a\tb\nc\n")
    os.close(theirs)
    config = ParallelConfig(paths=(f"/dev/fd/{ours}",))
    with pytest.raises(DataError, match=rf"^/dev/fd/{ours}, line 2: 0 tabs"):
        build_parallel(config, True, tmp_path / "data", lambda message: None)


def test_pairs_passed_over_are_named_by_the_lines_of_their_table(tmp_path: Path) -> None:
    rows = "".join(f'{source},"{target}"\n' for source, target in sentences(60))
    path = write(tmp_path / "a.csv", f'source,target\n"x\ny",z\n,empty\n{rows}')
    warnings: list[str] = []
    build_parallel(ParallelConfig(paths=(path,), vocab_size=310), True, tmp_path / "data", warnings.append)
    assert f"1 pair with an empty side passed over, the first at {path}, line 4" in warnings


def test_files_without_a_pair_to_use_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.en: no sentence pairs to train on"):
        corpus_of(tmp_path, [])
    with pytest.raises(DataError, match="no text to make pieces of"):
        corpus_of(tmp_path, [("", "")] * 3)
    with pytest.raises(DataError, match=r"train\.en: no sentence pairs to train on, all were passed over"):
        corpus_of(tmp_path, sentences(60), lambda message: None, valid=sentences(1), max_tokens=1)
    with pytest.raises(DataError, match=r"valid\.en: no sentence pairs to validate on"):
        corpus_of(tmp_path, sentences(60), lambda message: None, valid=[("", "x")])
    with pytest.raises(DataError, match="no file: no sentence pairs"):
        build_parallel(ParallelConfig(), True, tmp_path / "data", no_warning)


def test_a_faulty_validation_file_is_found_before_the_long_work(tmp_path: Path) -> None:
    config = ParallelConfig(paths=two_files(tmp_path, sentences(60)), valid=(write(tmp_path / "v.tsv", "x\n"),))
    with pytest.raises(DataError, match=r"v\.tsv, line 1"):
        build_parallel(config, True, tmp_path / "data", no_warning)
    assert list((tmp_path / "data").iterdir()) == []


def test_sentencepiece_sees_lines_from_all_over_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = sentences(400)
    pairs[200:] = [("zweite Hälfte", "second half")] * 200
    monkeypatch.setattr(parallel, "SENTENCEPIECE_BYTES", 4000)
    seen: list[str] = []
    train = SentencePieceTokenizer.train

    def spy(
        lines: list[str], vocab_size: int, *, sentences: bool, warn: Callable[[str], None]
    ) -> SentencePieceTokenizer:
        seen.extend(kept := list(lines))
        return train(kept, vocab_size, sentences=sentences, warn=warn)

    monkeypatch.setattr(SentencePieceTokenizer, "train", spy)
    corpus_of(tmp_path, pairs, valid=pairs[:1])
    assert 2000 < sum(len(line.encode()) for line in seen) <= 4000
    assert seen[:2] == list(pairs[0])
    assert "second half" in seen


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 4096)
    monkeypatch.setattr(parallel, "SENTENCEPIECE_BYTES", 20_000)
    pairs = sentences(6000)
    paths = two_files(tmp_path, pairs)
    size = sum(Path(path).stat().st_size for path in paths)
    del pairs
    config = ParallelConfig(paths=paths, vocab_size=310)
    build_parallel(config, True, tmp_path / "first", no_warning)  # imports and caches
    tracemalloc.start()
    try:
        build_parallel(config, True, tmp_path / "data", no_warning)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 16 bytes of offsets a pair, and what any corpus takes: blocks, buffers, tables.
    assert peak < 16 * 6000 + 150_000 < size


# Reopening ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", [True, False])
def test_a_reopened_corpus_is_the_same_without_its_source(tmp_path: Path, joint: bool) -> None:
    corpus = corpus_of(tmp_path, sentences(100), joint=joint)
    for path in tmp_path.glob("train.*"):
        path.unlink()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    again = build_parallel(ParallelConfig(paths=("gone.tsv",)), joint, tmp_path / "data", no_warning)
    assert content_of(again, again.train) == content_of(corpus, corpus.train)
    assert content_of(again, again.valid) == content_of(corpus, corpus.valid)
    assert again.valid_target_lines() == corpus.valid_target_lines() == [target for _, target in sentences(100)[98:]]
    assert again.target_tokenizer.to_bytes() == corpus.target_tokenizer.to_bytes()
    assert (again.source_tokenizer is again.target_tokenizer) == joint
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}


def test_the_same_pairs_make_the_same_files(tmp_path: Path) -> None:
    for name in "ab":
        corpus_of(tmp_path / name, sentences(100))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()} for name in "ab"]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "name", ["train.source.bin", "train.target.offsets", "valid.target.bin", "valid.target.txt", "tokenizer.model"]
)
def test_a_file_that_was_cut_or_lost_is_refused(tmp_path: Path, name: str) -> None:
    corpus_of(tmp_path, sentences(100))
    with (tmp_path / "data" / name).open("ab") as file:
        file.truncate(file.tell() - 1)
    with pytest.raises(DataError, match="does not hold") as caught:
        build_parallel(ParallelConfig(), True, tmp_path / "data", no_warning)
    assert "delete" in caught.value.hint
    (tmp_path / "data" / name).unlink()
    with pytest.raises(DataError, match="does not hold"):
        build_parallel(ParallelConfig(), True, tmp_path / "data", no_warning)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"3", b"{}", b'{"sizes": 3}', b'{"sizes": {}}', b"[" * 9999])
def test_a_damaged_index_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "data" / INDEX, content)
    with pytest.raises(DataError, match="does not hold"):
        build_parallel(ParallelConfig(), True, tmp_path / "data", no_warning)


def test_one_vocabulary_does_not_pass_for_two(tmp_path: Path) -> None:
    corpus_of(tmp_path, sentences(100), joint=True)
    with pytest.raises(DataError, match="does not hold"):
        build_parallel(ParallelConfig(), False, tmp_path / "data", no_warning)


def test_what_a_killed_tokenisation_left_is_made_anew(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.source.bin", "half")
    write(tmp_path / "data" / "old.bin", "older")
    corpus = corpus_of(tmp_path, sentences(100))
    assert content_of(corpus, corpus.train) == sentences(100)[:98]
    assert not (tmp_path / "data" / "old.bin").exists()


# Real text ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="Multi30k is not here")
def test_real_sentences_come_back(tmp_path: Path) -> None:
    pairs = list(read_pairs((str(MULTI30K / "val.de"), str(MULTI30K / "val.en"))))
    config = ParallelConfig(paths=(str(MULTI30K / "val.de"), str(MULTI30K / "val.en")), vocab_size=1000)
    corpus = build_parallel(config, True, tmp_path / "data", no_warning)
    tidied = [(" ".join(source.split()), " ".join(target.split())) for source, target in pairs]
    assert len(pairs) == 1014
    assert content_of(corpus, corpus.train) + content_of(corpus, corpus.valid) == tidied
    assert corpus.valid_target_lines() == [target for _, target in pairs[-20:]]
