"""Labelled texts on disk: what a classifier is trained and validated on.

The texts are read from their files twice, to settle classes and parts, and to write. They are kept as UTF-8 bytes
beside their labels, and become tokens batch by batch, in training as in use (`seqgen.data.label_inputs`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqgen import modeldir
from seqgen.config import LabelledTextConfig
from seqgen.config.classification import fault_of_label
from seqgen.data.corpus import spool
from seqgen.data.epochs import Indices
from seqgen.data.label_inputs import InputReader, words_of
from seqgen.data.label_survey import Survey, survey
from seqgen.data.labelled import Example, read_labelled
from seqgen.data.normalization import normalize
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.sentences import Sentences, SentenceWriter
from seqgen.data.tagged import read_tagged
from seqgen.data.text import shown_name
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer, from_bytes
from seqgen.data.tokens import Tokenizer, vocab_size
from seqgen.errors import DataError
from seqgen.wording import counted

INDEX, COUNTS, CHARACTERS = "labelled.json", "counts.npy", "characters.json"
# Words that a vocabulary has if no number is named.
WORDS, PIECES = 50_000, 2_000
# A text of fewer words on average is read letter by letter.
SENTENCE_WORDS = 3


@dataclass(frozen=True)
class LabelledPart:
    """Texts and the numbers of their labels; a label that no class has is numbered one past the last class."""

    bytes: Sentences
    labels: Sentences

    def __len__(self) -> int:
        return len(self.bytes.offsets) - 1

    def read(self, indices: Indices) -> tuple[list[str], list[NDArray[np.int64]]]:
        """Some texts, and the labels of each: one, or one for each word."""
        texts = [content.astype(np.uint8).tobytes().decode() for content in self.bytes.read(indices)]
        return texts, self.labels.read(indices)


@dataclass(frozen=True)
class LabelledCorpus:
    """What a classifier is trained on.

    Args:
        train (LabelledPart): the texts to train on.
        valid (LabelledPart | None): those to validate on.
        classes (tuple[str, ...]): the labels by number.
        reader (InputReader): how texts are read.
        counts (NDArray[np.int64]): how often each token stands in the training texts, `(vocab,)`.
        class_counts (NDArray[np.int64]): the same of labels, `(classes,)`.
    """

    train: LabelledPart
    valid: LabelledPart | None
    classes: tuple[str, ...]
    reader: InputReader
    counts: NDArray[np.int64]
    class_counts: NDArray[np.int64]


def read_examples(config: LabelledTextConfig, paths: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Example]:
    """The examples of some paths, their texts normalised.

    Raises:
        DataError: they cannot be read, or a label is none.
    """
    read = read_tagged if config.per_token else read_labelled
    for place, text, labels in read(paths, config.text_column, config.label_column, names):
        for label in labels:
            if label and (why := fault_of_label(label)):
                raise DataError(f"{place}: the label {label[:40]!r} {why}")
        yield Example(place, text if config.per_token else normalize(text, "sentences"), labels)


# Building -----------------------------------------------------------------------------------------------------


def build_labelled(
    config: LabelledTextConfig, *, letters: bool, directory: Path, warn: Callable[[str], None]
) -> LabelledCorpus:
    """Read the labelled texts of a run into `directory`, or reopen what an earlier session read.

    Args:
        config (LabelledTextConfig): paths, columns, tokens and the part to validate on.
        letters (bool): whether the letters of words are read, where words are tokens.
        directory (Path): created if needed.
        warn (Callable[[str], None]): told what was passed over, and what is odd.

    Raises:
        DataError: the files are unusable, or there is nothing to tell apart.
    """
    if (directory / INDEX).is_file():
        return _reopen(config, directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    train = _Files.keep(config, config.paths, directory / "input")
    valid = _Files.keep(config, (config.valid,), directory / "valid-input") if config.valid_fraction is None else None
    found = survey(train.read(), valid.read() if valid else None, config, warn)
    tokenizer, characters = _tokenizers(config, letters, train, found, warn)
    reader = InputReader(tokenizer, characters, config.per_token, config.max_length, config.chunk or config.per_token)
    counts = np.zeros(vocab_size(tokenizer), np.int64)
    cut = 0
    for example in found.training(train.read()):
        inputs = reader.read([example.text])
        cut += len(inputs.cut)
        for row, length in zip(inputs.tokens, inputs.lengths, strict=True):
            counts += np.bincount(row[:length], minlength=len(counts))
    write_part(directory, "train", found.training(train.read()), found.numbers)
    write_part(directory, "valid", found.validation(valid.read() if valid else train.read()), found.numbers)
    if cut:
        warn(f"{counted(cut, 'text')} of more than {config.max_length} tokens cut; --chunk reads all of them")
    np.save(directory / COUNTS, counts)
    _write_index(directory, tokenizer, characters, found)
    return _reopen(config, directory)


@dataclass(frozen=True)
class _Files:
    """Paths that can be read several times, and what the person calls them."""

    config: LabelledTextConfig
    paths: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def keep(cls, config: LabelledTextConfig, paths: tuple[str, ...], copies: Path) -> _Files:
        """Copy what comes through pipes to files whose names begin with `copies`."""
        kept = (
            path if path != "-" and Path(path).is_dir() else spool(path, copies.with_name(f"{copies.name}-{i}"))
            for i, path in enumerate(paths)
        )
        return cls(config, tuple(kept), tuple(map(shown_name, paths)))

    def read(self) -> Iterator[Example]:
        return read_examples(self.config, self.paths, self.names)


def write_part(directory: Path, name: str, examples: Iterable[Example], numbers: Mapping[str, int]) -> LabelledPart:
    """Write texts and the numbers of their labels to files of some name, and open them."""
    with (
        SentenceWriter(directory / f"{name}.texts", "uint8", with_text=False) as texts,
        SentenceWriter(directory / f"{name}.labels", "uint16", with_text=False) as labels,
    ):
        for example in examples:
            texts.write("", np.frombuffer(example.text.encode(), np.uint8).astype(np.int64))
            labels.write("", np.array([numbers.get(label, len(numbers)) for label in example.labels], np.int64))
    return _open_part(directory, name)


def _open_part(directory: Path, name: str) -> LabelledPart:
    sides = (("texts", "uint8"), ("labels", "uint16"))
    return LabelledPart(*(Sentences.open(directory / f"{name}.{side}", dtype) for side, dtype in sides))


def _tokenizers(
    config: LabelledTextConfig, letters: bool, files: _Files, found: Survey, warn: Callable[[str], None]
) -> tuple[Tokenizer, CharTokenizer | None]:
    """The tokenizer of the training texts, and that of the letters of their words."""

    def texts() -> Iterator[str]:
        return (example.text for example in found.training(files.read()))

    kind = config.tokens
    if config.per_token:
        kind = "word"
    elif kind == "auto":
        kind = "word" if found.words >= SENTENCE_WORDS * found.texts else "char"
    if kind == "char":
        return _alphabet(texts(), "sentences"), None
    if kind == "sentencepiece":
        return SentencePieceTokenizer.train(texts(), config.vocab_size or PIECES, sentences=True, warn=warn), None
    plain = texts() if config.per_token else (" ".join(words_of(text)) for text in texts())
    tokenizer = WordTokenizer.train(plain, config.vocab_size or WORDS)
    return tokenizer, _alphabet(texts(), "none") if letters else None


def _alphabet(texts: Iterable[str], rule: str) -> CharTokenizer:
    tokenizer = CharTokenizer(growing=True, rule="sentences" if rule == "sentences" else "none")
    for text in texts:
        tokenizer.encode(text)
    tokenizer.freeze()
    return tokenizer


def _write_index(directory: Path, tokenizer: Tokenizer, characters: CharTokenizer | None, found: Survey) -> None:
    (directory / tokenizer.file_name).write_bytes(tokenizer.to_bytes())
    if characters is not None:
        (directory / CHARACTERS).write_bytes(characters.to_bytes())
    index = {
        "classes": list(found.numbers),
        "class_counts": found.class_counts.tolist(),
        "tokenizer": tokenizer.file_name,
        "letters": characters is not None,
        "sizes": _sizes(directory),
    }
    modeldir.write_file(directory / INDEX, modeldir.json_bytes(index))


# Reopening ----------------------------------------------------------------------------------------------------


def _reopen(config: LabelledTextConfig, directory: Path) -> LabelledCorpus:
    try:
        index = json.loads((directory / INDEX).read_bytes())
        whole = index["sizes"] == _sizes(directory)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DataError(
            f"{directory} does not hold the whole labelled texts of this run",
            hint=f"delete {directory} and resume again",
        )
    name = index["tokenizer"]
    tokenizer = from_bytes(name, (directory / name).read_bytes())
    characters = CharTokenizer.from_bytes((directory / CHARACTERS).read_bytes()) if index["letters"] else None
    train, valid = (_open_part(directory, part) for part in ("train", "valid"))
    chunk = config.chunk or config.per_token
    return LabelledCorpus(
        train,
        valid if len(valid) else None,
        tuple(index["classes"]),
        InputReader(tokenizer, characters, config.per_token, config.max_length, chunk),
        np.load(directory / COUNTS, allow_pickle=False),
        np.array(index["class_counts"], np.int64),
    )


def _sizes(directory: Path) -> dict[str, int]:
    names = [
        f"{part}.{side}.{end}"
        for part in ("train", "valid")
        for side in ("texts", "labels")
        for end in ("bin", "offsets")
    ]
    return {name: (directory / name).stat().st_size for name in [*names, COUNTS]}
