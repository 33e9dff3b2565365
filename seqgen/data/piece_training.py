"""How sentencepiece's trainer is given a text, so that all of it counts, and how its refusals are answered.

The trainer silently drops lines above 4,192 bytes and lines with U+2585, and fails when a text cannot fill
a vocabulary. `seqgen.data.pieces` uses what it makes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from seqgen.data.normalization import normalize
from seqgen.data.text import parts
from seqgen.errors import DataError

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space inside a piece
_RESERVED = "\N{LOWER FIVE EIGHTHS BLOCK}"  # how its trainer writes an unknown character
_MOST_CHARACTERS = 1000  # of a line: at most four bytes each, below what the trainer takes
_WORDS_OF_A_LINE = 12
_SMALLEST = 262  # of a vocabulary: the bytes, the special tokens, a character; below that it fails for another reason

SENTENCES: dict[str, Any] = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
RUNNING_TEXT: dict[str, Any] = {"bos_id": -1, "eos_id": -1, "user_defined_symbols": ["\n"]}


def train_model(texts: Iterable[str], vocab_size: int, *, sentences: bool, warn: Callable[[str], None]) -> bytes:
    """A serialised unigram model; the same texts give the same one.

    Args:
        texts (Iterable[str]): sentences, or the parts of a running text. It does not matter where lines of a running
            text end: its words count alike, and every twelfth is taken to begin a line.
        vocab_size (int): how many pieces; when the text has fewer, or needs more for its characters, the nearest number
            that works.
        sentences (bool): which of the two kinds.
        warn (Callable[[str], None]): told about what the model will not tell apart.

    Raises:
        DataError: there is no text, or sentencepiece finds nothing in it.
    """
    lines = list(_lines(texts, sentences=sentences))
    if not lines:
        raise DataError("there is no text to make pieces of")
    if any(SPACE in line for line in lines):
        warn("U+2581 in the text is read as a space: sentencepiece writes spaces so")
    kind = SENTENCES if sentences else RUNNING_TEXT
    size, reason = max(vocab_size, _SMALLEST), ""
    for _ in range(2):
        try:
            return _train(lines, size, kind)
        except RuntimeError as error:
            reason = str(error).rsplit("] ", 1)[-1].strip()
        # "Vocabulary size is smaller than required_chars. 100 vs 339. Increase ...": bytes, special tokens, characters
        if (needed := re.search(r"required_chars\. \d+ vs (\d+)", reason)) is None:
            break
        size = int(needed[1])
    # Such as "INTERNAL: no pieces are loaded", of a text that is one character again and again.
    raise DataError(f"sentencepiece finds no pieces in this text: {reason}", hint="--tokens char takes any text")


def _train(lines: list[str], vocab_size: int, kind: dict[str, Any]) -> bytes:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=vocab_size,
        hard_vocab_limit=False,  # as many pieces as the text has, if there are fewer
        model_type="unigram",
        normalization_rule_name="identity",
        remove_extra_whitespaces=kind is SENTENCES,
        add_dummy_prefix=kind is SENTENCES,
        byte_fallback=True,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
        **kind,
    )
    return model.getvalue()


def _lines(texts: Iterable[str], *, sentences: bool) -> Iterator[str]:
    """What the trainer is given: lines that are neither too long nor have what it reserves."""
    lines = (normalize(text, "sentences") for text in texts) if sentences else _even_lines(texts)
    for line in lines:
        for stretch in line.split(_RESERVED):
            yield from filter(None, parts([stretch], _MOST_CHARACTERS))


def _even_lines(texts: Iterable[str]) -> Iterator[str]:
    """The words of a running text in lines of equally many."""
    words = (word for text in texts for word in re.split("[ \n]+", normalize(text, "text")) if word)
    while line := list(islice(words, _WORDS_OF_A_LINE)):
        yield " ".join(line)
