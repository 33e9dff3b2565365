"""Text of any size to a memory-mapped token file.

A text is read once, a block at a time, and written as a flat array of token ids beside the run; nothing is ever held
whole, so a text larger than memory trains like a small one. `TokenSpan` is a part of that array.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqgen import modeldir
from seqgen.config import TextConfig
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.text import BLOCK, open_source, read_lines, read_text, text_files
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import TokenIds, Tokenizer
from seqgen.errors import DataError

# Sentencepiece holds its training sentences in memory; this much text is plenty for a small vocabulary.
SENTENCEPIECE_BYTES = 32 * 2**20
INDEX = "corpus.json"


@dataclass(frozen=True)
class TokenSpan:
    """Part of a token file.

    Args:
        path (Path): a flat little-endian array without a header.
        dtype (str): its unsigned NumPy type.
        start (int): first token.
        stop (int): one past the last token.
    """

    path: Path
    dtype: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int) -> TokenIds:
        """Token ids `(stop - start,)`, counted from the start of the span."""
        # Mapped anew each time: pages count as resident for as long as their mapping lives.
        tokens = np.memmap(self.path, dtype=self.dtype, mode="r")
        return tokens[self.start + start : self.start + stop].astype(np.int64)

    def read_circular(self, starts: Iterable[int], length: int) -> TokenIds:
        """Token ids `(rows, length)` from several places; the end of the span is followed by its beginning."""
        tokens = np.memmap(self.path, dtype=self.dtype, mode="r")[self.start : self.stop]
        index = (np.asarray(list(starts))[:, None] + np.arange(length)) % len(self)
        return tokens[index].astype(np.int64)


@dataclass(frozen=True)
class Corpus:
    """A tokenised text: what to train on, what to validate on, and the tokenizer of both."""

    train: TokenSpan
    valid: TokenSpan | None
    tokenizer: Tokenizer


def build_corpus(config: TextConfig, directory: Path, warn: Callable[[str], None]) -> Corpus:
    """Tokenise the text of a run into `directory`, or reopen what an earlier session tokenised there.

    Args:
        config (TextConfig): paths, tokenizer and validation split.
        directory (Path): created if needed; holds the token file, its index and the tokenizer.
        warn (Callable[[str], None]): told about what was passed over.

    Raises:
        DataError: the text is unusable or too short to train on.
    """
    if (directory / INDEX).is_file():
        return _reopen(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    files = [spool(path, directory / f"input-{i}.txt") for i, path in enumerate(text_files(config.paths, warn))]
    if not files:
        raise DataError("no text to train on")
    tokenizer = _tokenizer_for(config, files)
    fraction = config.valid_fraction
    with _TokenWriter(directory) as writer:
        for block in _blocks(files, tokenizer):
            writer.write(tokenizer.encode(block))
        # The split counts tokens, as nanoGPT's does: the first int(n * 0.9) train, the rest validate.
        valid_start = writer.num_tokens if fraction is None else int(writer.num_tokens * (1 - fraction))
        if isinstance(tokenizer, CharTokenizer):
            tokenizer.freeze()
        if fraction is None:
            for block in _blocks(text_files([config.valid], warn), tokenizer):
                writer.write(tokenizer.encode(block))
    (directory / tokenizer.file_name).write_bytes(tokenizer.to_bytes())
    index = {
        "dtype": writer.dtype,
        "num_tokens": writer.num_tokens,
        "valid_start": valid_start,
        "tokenizer": tokenizer.file_name,
    }
    modeldir.write_file(directory / INDEX, modeldir.json_bytes(index))
    corpus = _reopen(directory)
    _check_length(corpus, config, warn)
    return corpus


def _reopen(directory: Path) -> Corpus:
    path = directory / "tokens.bin"
    try:
        index = json.loads((directory / INDEX).read_bytes())
        dtype, middle, size = index["dtype"], index["valid_start"], index["num_tokens"]
        whole = path.stat().st_size == size * np.dtype(dtype).itemsize
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f"{path} is not the token file of this run", hint=f"delete {directory} and resume again")
    tokenizer = from_bytes(index["tokenizer"], (directory / index["tokenizer"]).read_bytes())
    valid = TokenSpan(path, dtype, middle, size)
    return Corpus(TokenSpan(path, dtype, 0, middle), valid if len(valid) > 1 else None, tokenizer)


def _check_length(corpus: Corpus, config: TextConfig, warn: Callable[[str], None]) -> None:
    if len(corpus.train) < 2:
        raise DataError(f"{', '.join(config.paths)}: {len(corpus.train)} tokens to train on, at least 2 are needed")
    if corpus.valid is None and config.valid_fraction != 0:
        warn("too little text for a validation part: the run is judged by its training loss alone")


def spool(path: str, copy: Path) -> str:
    """A path that can be read several times: standard input and named pipes are kept as a file."""
    if path != "-" and not Path(path).is_fifo():
        return path
    with copy.open("wb") as file, open_source(path) as source:
        shutil.copyfileobj(source, file, BLOCK)
    return str(copy)


def _tokenizer_for(config: TextConfig, files: list[str]) -> Tokenizer:
    if config.tokens == "char":
        return CharTokenizer(growing=True)
    total = sum(Path(path).stat().st_size for path in files)
    keep = int(total * (1 - (config.valid_fraction or 0.0)))
    lines = _sample_lines(files, keep)
    if config.tokens == "word":
        return WordTokenizer.train(lines, config.num_tokens)
    return SentencePieceTokenizer.train(lines, config.num_tokens)


def _blocks(paths: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """The text of some files in parts that the tokenizer can take one by one: a word must not be cut in two."""
    blocks = itertools.chain.from_iterable(map(read_text, paths))
    return read_lines(blocks) if isinstance(tokenizer, WordTokenizer) else blocks


def _sample_lines(files: list[str], keep: int) -> Iterator[str]:
    """Evenly spread lines of the first `keep` bytes, about `SENTENCEPIECE_BYTES` of them."""
    every = max(1, -(-keep // SENTENCEPIECE_BYTES))
    position = 0
    for number, line in enumerate(read_lines(itertools.chain.from_iterable(map(read_text, files)))):
        position += len(line.encode())
        if position > keep and number:
            return
        if number % every == 0:
            yield line


class _TokenWriter:
    """Appends token ids to `tokens.bin` in the smallest unsigned type that holds them, widening when needed."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "tokens.bin"
        self.dtype = "uint8"
        self.num_tokens = 0

    def __enter__(self) -> _TokenWriter:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, token_ids: TokenIds) -> None:
        if token_ids.size and token_ids.max() > np.iinfo(self.dtype).max:
            self._widen("uint16" if token_ids.max() < 2**16 else "uint32")
        self._file.write(token_ids.astype(self.dtype).tobytes())
        self.num_tokens += token_ids.size

    def _widen(self, dtype: str) -> None:
        self._file.close()
        wider = self._path.with_suffix(".wider")
        with self._path.open("rb") as source, wider.open("wb") as target:
            while block := source.read(BLOCK):
                target.write(np.frombuffer(block, self.dtype).astype(dtype).tobytes())
        wider.replace(self._path)
        self._file = self._path.open("ab")
        self.dtype = dtype


def open_text(
    paths: Iterable[str],
    tokenizer: Tokenizer,
    directory: Path,
    *,
    warn: Callable[[str], None],
    tail: float = 1.0,
) -> TokenSpan:
    """Tokenise some text with a known tokenizer, for evaluation.

    Args:
        paths (Iterable[str]): files, folders or `-`.
        tokenizer (Tokenizer): the model's.
        directory (Path): where the token file goes; the caller removes it.
        warn (Callable[[str], None]): told about what was passed over.
        tail (float): the last part of the text to keep, in (0, 1].

    Raises:
        DataError: the text is unusable or shorter than two tokens.
    """
    files = text_files(paths, warn)
    with _TokenWriter(directory) as writer:
        for block in _blocks(files, tokenizer):
            writer.write(tokenizer.encode(block))
    start = int(writer.num_tokens * (1 - tail))
    span = TokenSpan(directory / "tokens.bin", writer.dtype, start, writer.num_tokens)
    if len(span) < 2:
        raise DataError(f"{', '.join(paths)}: {len(span)} tokens, at least 2 are needed to predict one")
    return span
