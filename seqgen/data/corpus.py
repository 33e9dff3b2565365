"""Text of any size to a memory-mapped token file.

A text is read once, a block at a time, and written as a flat array of token ids beside the run; nothing is ever held
whole, so a text larger than memory trains like a small one. `TokenSpan` is a part of that array.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import RunningTextConfig
from seqgen.data.contents import check_running_text
from seqgen.data.normalization import Rule, normalize_blocks
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.text import BLOCK, join_files, open_source, parts, read_text, text_files
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import TokenIds, Tokenizer, vocab_size
from seqgen.errors import DataError
from seqgen.wording import counted

# Sentencepiece holds its training sentences in memory; this much text is plenty for a small vocabulary.
SENTENCEPIECE_BYTES = 32 * 2**20
# When a text has more than that, evenly spread parts of it count, each of this size.
SAMPLED_CHARACTERS = 4096
INDEX = "corpus.json"


@dataclass(frozen=True)
class TokenSpan:
    """Part of a token file.

    Args:
        path (Path): a flat little-endian array without a header.
        dtype (str): its unsigned NumPy type.
        start (int): first token.
        stop (int): one past the last token.
        chars_per_token (float): characters of the text that was read for each token after the first.
    """

    path: Path
    dtype: str
    start: int
    stop: int
    chars_per_token: float = 1.0

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int) -> TokenIds:
        """Token ids `(stop - start,)`, counted from the start of the span."""
        # Mapped anew each time: pages count as resident for as long as their mapping lives.
        tokens = np.memmap(self.path, dtype=self.dtype, mode="r")
        return tokens[self.start + start : self.start + stop].astype(np.int64)

    def count(self, token_id: int) -> int:
        """How often a token occurs after the first one."""
        stretches = range(1, len(self), BLOCK)
        return sum(int((self.read(i, min(i + BLOCK, len(self))) == token_id).sum()) for i in stretches)

    def read_circular(self, starts: Iterable[int], length: int) -> TokenIds:
        """Token ids `(rows, length)` from several places; the end of the span is followed by its beginning."""
        tokens = np.memmap(self.path, dtype=self.dtype, mode="r")[self.start : self.stop]
        index = (np.asarray(list(starts), dtype=np.int64)[:, None] + np.arange(length)) % len(self)
        read: TokenIds = tokens[index].astype(np.int64)
        return read


@dataclass(frozen=True)
class Corpus:
    """A tokenised text: what to train on, what to validate on, and the tokenizer of both."""

    train: TokenSpan
    valid: TokenSpan | None
    tokenizer: Tokenizer


def build_corpus(config: RunningTextConfig, directory: Path, warn: Callable[[str], None]) -> Corpus:
    """Tokenise the text of a run into `directory`, or reopen what an earlier session tokenised there.

    Args:
        config (RunningTextConfig): paths, tokenizer and validation split.
        directory (Path): created if needed; holds the token file, its index and the tokenizer.
        warn (Callable[[str], None]): told about what was passed over.

    Raises:
        DataError: the text is unusable or too short to train on.
    """
    if (directory / INDEX).is_file():
        return _reopen(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    check_running_text(config.paths, warn)
    files = [spool(path, directory / f"input-{i}.txt") for i, path in enumerate(text_files(config.paths, warn))]
    if not files:
        raise DataError("no text to train on")
    fraction = config.valid_fraction
    held_out = text_files([config.valid], warn) if fraction is None else []  # missing now, not after the long work
    tokenizer = _tokenizer_for(config, files, warn)
    with _TokenWriter(directory) as writer:
        writer.write_text(files, tokenizer)
        # The split counts tokens, as nanoGPT's does: the first int(n * 0.9) train, the rest validate.
        valid_start = writer.num_tokens if fraction is None else int(writer.num_tokens * (1 - fraction))
        if isinstance(tokenizer, CharTokenizer):
            tokenizer.freeze()
        writer.write_text(held_out, tokenizer)
    train, valid = writer.span(0, valid_start), writer.span(valid_start, writer.num_tokens)
    writer.forget_lengths()
    tokenizer.unknown_in_training = train.count(tokenizer.unk_id) > 0
    (directory / tokenizer.file_name).write_bytes(tokenizer.to_bytes())
    index = {
        "dtype": writer.dtype,
        "num_tokens": writer.num_tokens,
        "valid_start": valid_start,
        "chars_per_token": [train.chars_per_token, valid.chars_per_token],
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
        train_chars, valid_chars = map(float, index["chars_per_token"])
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f"{path} is not the token file of this run", hint=f"delete {directory} and resume again")
    tokenizer = from_bytes(index["tokenizer"], (directory / index["tokenizer"]).read_bytes())
    valid = TokenSpan(path, dtype, middle, size, valid_chars)
    return Corpus(TokenSpan(path, dtype, 0, middle, train_chars), valid if len(valid) > 1 else None, tokenizer)


def _check_length(corpus: Corpus, config: RunningTextConfig, warn: Callable[[str], None]) -> None:
    if len(corpus.train) < 2:
        raise DataError(
            f"{', '.join(config.paths)}: {counted(len(corpus.train), 'token')} to train on, at least 2 are needed"
        )
    if corpus.valid is None and config.valid_fraction != 0:
        warn("too little text for a validation part: the run is judged by its training loss alone")


def spool(path: str, copy: Path) -> str:
    """A path that can be read several times: what is no regular file, a pipe mostly, is kept as one."""
    if path != "-" and (Path(path).is_file() or not Path(path).exists()):
        return path
    with copy.open("wb") as file, open_source(path) as source:
        shutil.copyfileobj(source, file, BLOCK)
    return str(copy)


def _tokenizer_for(config: RunningTextConfig, files: list[str], warn: Callable[[str], None]) -> Tokenizer:
    if config.tokens == "char":
        return CharTokenizer(growing=True, rule="text")
    total = sum(len(part.encode()) for part in _text(files, "text"))
    keep = int(total * (1 - (config.valid_fraction or 0.0)))
    sample = _sample(files, keep)
    if config.tokens == "word":
        tokenizer = WordTokenizer.train(sample, config.num_tokens)
        if (size := vocab_size(tokenizer)) < config.vocab_size:
            warn(f"this text has at most {size} words, not {config.vocab_size}: the vocabulary has {size}")
        return tokenizer
    return SentencePieceTokenizer.train(sample, config.num_tokens, warn=warn)


def _text(files: Iterable[str], rule: Rule) -> Iterator[str]:
    """The text of some files in parts that a tokenizer can take one by one: a word is not cut in two."""
    return parts(join_files(normalize_blocks(read_text(path), rule) for path in files), BLOCK)


def _sample(files: list[str], keep: int) -> Iterator[str]:
    """Evenly spread parts of the first `keep` bytes of a text, about `SENTENCEPIECE_BYTES` of them."""
    every = max(1, -(-keep // SENTENCEPIECE_BYTES))
    left = keep
    for number, part in enumerate(parts(_text(files, "text"), SAMPLED_CHARACTERS)):
        content = part.encode()
        if len(content) > left:
            part = next(parts([part], max(1, len(content[:left].decode(errors="ignore")))))
        if number % every == 0:
            yield part
        left -= len(content)
        if left <= 0:
            return


class _TokenWriter:
    """Writes a text to `tokens.bin`, and beside it how many characters each token stands for."""

    def __init__(self, directory: Path) -> None:
        self._tokens, self._lengths = _Numbers(directory / "tokens.bin"), _Numbers(directory / "lengths.bin")

    def __enter__(self) -> _TokenWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._tokens.close()
        self._lengths.close()

    @property
    def dtype(self) -> str:
        return self._tokens.dtype

    @property
    def num_tokens(self) -> int:
        return self._tokens.count

    def write_text(self, files: Iterable[str], tokenizer: Tokenizer) -> None:
        """Append the tokens of some files."""
        for part in _text(files, tokenizer.rule):
            token_ids = tokenizer.encode(part)
            self._tokens.write(token_ids)
            self._lengths.write(tokenizer.lengths(part, token_ids))

    def span(self, start: int, stop: int) -> TokenSpan:
        """Some of the tokens, once all are written."""
        lengths = TokenSpan(self._lengths.path, self._lengths.dtype, start, stop)
        stretches = range(1, stop - start, BLOCK)
        chars = sum(int(lengths.read(i, min(i + BLOCK, stop - start)).sum()) for i in stretches)
        return TokenSpan(self._tokens.path, self.dtype, start, stop, max(1, chars) / max(1, stop - start - 1))

    def forget_lengths(self) -> None:
        """Delete what only `span` needs."""
        self._lengths.path.unlink()


class _Numbers:
    """A file of whole numbers in the smallest unsigned type that holds them, widened when needed."""

    def __init__(self, path: Path) -> None:
        self.path, self.dtype, self.count = path, "uint8", 0
        self._file = path.open("wb")

    def close(self) -> None:
        self._file.close()

    def write(self, numbers: NDArray[np.int64]) -> None:
        if numbers.size and numbers.max() > np.iinfo(self.dtype).max:
            self._widen("uint16" if numbers.max() < 2**16 else "uint32")
        self._file.write(numbers.astype(self.dtype).tobytes())
        self.count += numbers.size

    def _widen(self, dtype: str) -> None:
        self._file.close()
        wider = self.path.with_suffix(".wider")
        with self.path.open("rb") as source, wider.open("wb") as target:
            while block := source.read(BLOCK):
                target.write(np.frombuffer(block, self.dtype).astype(dtype).tobytes())
        wider.replace(self.path)
        self._file = self.path.open("ab")
        self.dtype = dtype


def open_text(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    directory: Path,
    *,
    warn: Callable[[str], None],
    tail: float = 1.0,
) -> TokenSpan:
    """Tokenise some text with a known tokenizer, for evaluation.

    Args:
        paths (Sequence[str]): files, folders or `-`.
        tokenizer (Tokenizer): the model's.
        directory (Path): where the token file goes; the caller removes it.
        warn (Callable[[str], None]): told about what was passed over.
        tail (float): the last part of the text to keep, in (0, 1].

    Raises:
        DataError: the text is unusable or shorter than two tokens.
    """
    check_running_text(paths, warn)
    files = text_files(paths, warn)
    with _TokenWriter(directory) as writer:
        writer.write_text(files, tokenizer)
    span = writer.span(int(writer.num_tokens * (1 - tail)), writer.num_tokens)
    writer.forget_lengths()
    if len(span) < 2:
        raise DataError(f"{', '.join(paths)}: {counted(len(span), 'token')}, at least 2 are needed to predict one")
    return span
