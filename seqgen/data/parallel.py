"""Sentence pairs to memory-mapped token files: the corpus of a translation run.

The pairs are read from their files (`seqgen.data.pair_files`) several times, to count them, to fit the vocabulary, to
tokenise, and never held; each side is kept as `seqgen.data.sentences`. `seqgen.data.buckets` puts the pairs into
batches.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import ParallelConfig
from seqgen.data.corpus import SENTENCEPIECE_BYTES, spool
from seqgen.data.pair_files import check_paths, read_numbered_pairs
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.sentences import Sentences, SentenceWriter
from seqgen.data.sides import NO_KEYS, Keys
from seqgen.data.tables import NumberedPair
from seqgen.data.text import shown_name
from seqgen.data.tokens import TokenIds, vocab_size
from seqgen.errors import DataError
from seqgen.wording import counted

INDEX = "parallel.json"
SIDES = ("source", "target")

# Without validation files, the end of the training files serves: enough pairs for a steady figure, and no more.
HELD_OUT = 0.02
MAX_HELD_OUT = 1000


@dataclass(frozen=True)
class Pairs:
    """Tokenised sentence pairs, without symbols that begin or end them."""

    source: Sentences
    target: Sentences

    def __len__(self) -> int:
        return len(self.source.offsets) - 1

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        """Tokens of each source, `(pairs,)`."""
        return self.source.lengths

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        """Tokens of each target, `(pairs,)`."""
        return self.target.lengths

    def read(self, indices: NDArray[np.int64]) -> tuple[list[TokenIds], list[TokenIds]]:
        """Sources and targets of some pairs."""
        return self.source.read(indices), self.target.read(indices)


@dataclass(frozen=True)
class ParallelCorpus:
    """Tokenised sentence pairs to train on and to validate on; both tokenizers are one when the vocabulary is joint."""

    train: Pairs
    valid: Pairs | None
    source_tokenizer: SentencePieceTokenizer
    target_tokenizer: SentencePieceTokenizer
    directory: Path

    def valid_source_lines(self) -> list[str]:
        """The validation sources as text, in the order of `valid`."""
        return _read_plain(self.directory / "valid.source.txt")

    def valid_target_lines(self) -> list[str]:
        """The validation targets as text, in the order of `valid`: the references of a BLEU score."""
        return _read_plain(self.directory / "valid.target.txt")


def _read_plain(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [line[:-1] for line in file]


# Building -----------------------------------------------------------------------------------------------------


def build_parallel(
    config: ParallelConfig, network_joint: bool, directory: Path, warn: Callable[[str], None]
) -> ParallelCorpus:
    """Tokenise the sentence pairs of a run into `directory`, or reopen what an earlier session tokenised there.

    Without validation files the last 2 % of the lines, at most 1,000, are held out for validation: neither the network
    nor the tokenizers learn from them. Pairs with an empty side, and those longer than `max_tokens` on either side,
    are passed over with a warning.

    Args:
        config (ParallelConfig): paths, vocabulary size and the longest sentence.
        network_joint (bool): whether both sides share one vocabulary.
        directory (Path): created if needed; holds token files, tokenizers, validation text and an index.
        warn (Callable[[str], None]): told about what was passed over.

    Raises:
        DataError: the files are unusable, or no pair is left.
    """
    if (directory / INDEX).is_file():
        return _reopen(directory, network_joint)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if not config.paths:
        raise DataError("no file: no sentence pairs to train on")
    train = _Files.keep(config.paths, config, directory / "input")
    valid = _Files.keep(config.valid, config, directory / "valid-input") if config.valid else None
    # Reading all of it now finds every faulty line before the long work begins.
    num_lines, num_valid_lines = (sum(1 for _ in files.read()) if files else 0 for files in (train, valid))
    held_out = 0 if config.valid else min(int(num_lines * HELD_OUT), MAX_HELD_OUT)
    border = num_lines - held_out
    if not border:
        raise DataError(f"{train}: no sentence pairs to train on")
    tokenizers = _train_tokenizers(train, config.vocab_size, network_joint, border, warn)
    for name, tokenizer in zip(_tokenizer_names(network_joint), tokenizers, strict=True):
        (directory / name).write_bytes(tokenizer.to_bytes())
    pairs = _usable(train, range(border), tokenizers, config.max_tokens, warn)
    if not _write_part(directory, "train", pairs, tokenizers):
        raise DataError(f"{train}: no sentence pairs to train on, all were passed over")
    lines = range(num_valid_lines) if valid else range(border, num_lines)
    pairs = _usable(valid or train, lines, tokenizers, config.max_tokens, warn)
    has_valid = _write_part(directory, "valid", pairs, tokenizers) > 0
    if not has_valid and valid:
        raise DataError(f"{valid}: no sentence pairs to validate on")
    if not has_valid:
        warn("too few sentence pairs for a validation part: the run is judged by its training loss alone")
    index = {"sizes": _sizes(directory, _file_names(network_joint, has_valid))}
    modeldir.write_file(directory / INDEX, modeldir.json_bytes(index))
    return _reopen(directory, network_joint)


@dataclass(frozen=True)
class _Files:
    """Files of pairs that can be read several times.

    Args:
        paths (tuple[str, ...]): the files, or the copies of what came through pipes.
        names (tuple[str, ...]): what the person calls them.
        keys (Keys): which columns of a table are the two sides.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    keys: Keys

    @classmethod
    def keep(cls, paths: tuple[str, ...], config: ParallelConfig, copies: Path) -> _Files:
        """Copy what comes through pipes to files whose names begin with `copies`."""
        names = tuple(map(shown_name, paths))
        keys = Keys(config.source_key, config.target_key) if len(paths) == 1 else NO_KEYS
        check_paths(paths, names, keys)
        return cls(tuple(spool(p, copies.with_name(f"{copies.name}-{i}")) for i, p in enumerate(paths)), names, keys)

    def read(self) -> Iterator[NumberedPair]:
        return read_numbered_pairs(self.paths, self.keys, self.names)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(Path(path).stat().st_size for path in self.paths)

    def __str__(self) -> str:
        return ", ".join(self.names)


def _train_tokenizers(
    files: _Files, size: int, joint: bool, stop: int, warn: Callable[[str], None]
) -> tuple[SentencePieceTokenizer, ...]:
    """The tokenizers of source and target, or the one of both."""
    every = max(1, -(-files.size // SENTENCEPIECE_BYTES))

    def train(*sides: int) -> SentencePieceTokenizer:
        pairs = itertools.islice(files.read(), 0, stop, every)
        lines = (pair[side] for _, pair in pairs for side in sides)
        return SentencePieceTokenizer.train(lines, size, sentences=True, warn=warn)

    return (train(0, 1),) if joint else (train(0), train(1))


def _usable(
    files: _Files,
    places: range,
    tokenizers: tuple[SentencePieceTokenizer, ...],
    max_tokens: int,
    warn: Callable[[str], None],
) -> Iterator[tuple[tuple[str, str], list[TokenIds]]]:
    """Some of the pairs as normalised text and as tokens; tells at the end which were passed over."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    source, target = _both(tokenizers)
    for number, pair in itertools.islice(files.read(), places.start, places.stop):
        texts = source.normalize(pair[0]), target.normalize(pair[1])
        token_ids = [source.encode(texts[0]), target.encode(texts[1])]
        fault = _fault(texts, token_ids, max_tokens)
        if fault is None:
            yield texts, token_ids
        else:
            reason, side = fault
            counts[reason] += 1
            first.setdefault(reason, f"{files.names[side % len(files.names)]}, line {number}")
    for reason, count in counts.items():
        warn(f"{counted(count, 'pair')} {reason} passed over, the first at {first[reason]}")


def _fault(texts: tuple[str, str], token_ids: list[TokenIds], max_tokens: int) -> tuple[str, int] | None:
    """Why a pair cannot be used, and which side is to blame."""
    for side, (text, ids) in enumerate(zip(texts, token_ids, strict=True)):
        if not ids.size or not text:
            return "with an empty side", side
    for side, ids in enumerate(token_ids):
        if len(ids) > max_tokens:
            return f"longer than {max_tokens} tokens", side
    return None


def _write_part(
    directory: Path,
    part: str,
    pairs: Iterable[tuple[tuple[str, str], list[TokenIds]]],
    tokenizers: tuple[SentencePieceTokenizer, ...],
) -> int:
    """Write one part of the corpus, the validation part with its text; returns the number of pairs."""
    num_pairs = 0
    with contextlib.ExitStack() as stack:
        sides = [
            stack.enter_context(
                SentenceWriter(directory / f"{part}.{side}", _dtype(tokenizer), with_text=part == "valid")
            )
            for side, tokenizer in zip(SIDES, _both(tokenizers), strict=True)
        ]
        for texts, token_ids in pairs:
            num_pairs += 1
            for side, text, ids in zip(sides, texts, token_ids, strict=True):
                side.write(text, ids)
    return num_pairs


# Reopening ----------------------------------------------------------------------------------------------------


def _reopen(directory: Path, joint: bool) -> ParallelCorpus:
    try:
        sizes = json.loads((directory / INDEX).read_bytes())["sizes"]
        has_valid = "valid.source.bin" in sizes
        whole = sizes == _sizes(directory, _file_names(joint, has_valid))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DataError(
            f"{directory} does not hold the whole sentence pairs of this run",
            hint=f"delete {directory} and resume again",
        )
    tokenizers = tuple(SentencePieceTokenizer((directory / name).read_bytes()) for name in _tokenizer_names(joint))
    train = _open_part(directory, "train", tokenizers)
    valid = _open_part(directory, "valid", tokenizers) if has_valid else None
    return ParallelCorpus(train, valid, *_both(tokenizers), directory)


def _open_part(directory: Path, part: str, tokenizers: tuple[SentencePieceTokenizer, ...]) -> Pairs:
    sides = (
        Sentences.open(directory / f"{part}.{side}", _dtype(tokenizer))
        for side, tokenizer in zip(SIDES, _both(tokenizers), strict=True)
    )
    return Pairs(*sides)


def _both(tokenizers: tuple[SentencePieceTokenizer, ...]) -> tuple[SentencePieceTokenizer, SentencePieceTokenizer]:
    """The tokenizers of source and target."""
    return tokenizers[0], tokenizers[-1]


def _dtype(tokenizer: SentencePieceTokenizer) -> str:
    return np.min_scalar_type(vocab_size(tokenizer) - 1).name


def _tokenizer_names(joint: bool) -> list[str]:
    return [SentencePieceTokenizer.file_name] if joint else [f"{side}.model" for side in SIDES]


def _file_names(joint: bool, has_valid: bool) -> list[str]:
    endings = {"train": ("bin", "offsets"), "valid": ("bin", "offsets", "txt") if has_valid else ()}
    parts = [f"{part}.{side}.{ending}" for part in endings for side in SIDES for ending in endings[part]]
    return parts + _tokenizer_names(joint)


def _sizes(directory: Path, names: list[str]) -> dict[str, int]:
    return {name: (directory / name).stat().st_size for name in names}
