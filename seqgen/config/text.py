"""Where text comes from, and how it becomes tokens and batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import MAX_SIZE, Config, within
from seqgen.errors import ConfigError

Tokens = Literal["char", "word", "sentencepiece"]
Order = Literal["length", "random"]
LossSteps = Literal["all", "random"]
Keep = Literal["loss", "bleu"]


@dataclass(frozen=True, kw_only=True)
class TextConfig(Config):
    """Where the text comes from and how it becomes tokens.

    `valid` is a fraction (the tail of the text) or the path of a file or folder. `vocab_size` is how many sentencepiece
    pieces are made, or how many words, the most frequent ones, are kept (0: 1,000 and 10,000); characters need no
    number.
    """

    paths: tuple[str, ...] = ()
    valid: str = "0.1"
    tokens: Tokens = "char"
    vocab_size: int = 0

    def __post_init__(self) -> None:
        within(self, "vocab_size", 0, MAX_SIZE)
        if (fraction := self.valid_fraction) is not None and not 0.0 <= fraction < 1.0:
            raise ConfigError(f"valid is {self.valid}, but a fraction lies in [0, 1)", hint="try --valid 0.1")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: characters are as many as the text has."""
        return {"vocab_size": "with --tokens char"} if self.tokens == "char" else {}

    @property
    def num_tokens(self) -> int:
        """How many sentencepiece pieces or words are asked for."""
        return self.vocab_size or (10_000 if self.tokens == "word" else 1_000)

    @property
    def valid_fraction(self) -> float | None:
        """The tail of the text that is kept for validation, or None when `valid` is a path."""
        try:
            return float(self.valid)
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class RecurrentTextConfig(TextConfig):
    """`bptt` is how many tokens the gradient flows back through; the hidden state is carried further than that."""

    bptt: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, "bptt", 1, MAX_SIZE)


@dataclass(frozen=True, kw_only=True)
class ParallelConfig(Config):
    """Where the sentence pairs come from, and how they become batches.

    `paths` are two aligned files, or one table with both sides (tabs, CSV or JSON lines); `valid` likewise. The sides
    are the columns or keys `source_key` and `target_key`, if these are not empty (`seqgen.data.tables`). In the
    order `length` a batch holds pairs of similar length, `batch_size` of them on average and the same number of tokens
    each time; in the order `random` it holds `batch_size` pairs drawn at random. With `loss_steps` random only one
    position of each target, drawn at random, counts. `subword_sampling` is the alpha of `seqgen.data.subwords`; 0 takes
    the likeliest pieces always. `keep` says what makes the best model, validation loss or BLEU.
    """

    paths: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    source_key: str = ""
    target_key: str = ""
    vocab_size: int = 5000
    max_tokens: int = 128
    order: Order = "length"
    loss_steps: LossSteps = "all"
    label_smoothing: float = 0.1
    subword_sampling: float = 0.0
    keep: Keep = "bleu"

    def __post_init__(self) -> None:
        within(self, "vocab_size", 2, MAX_SIZE)
        within(self, "max_tokens", 1, MAX_SIZE)
        if (self.source_key or self.target_key) and len(self.paths) == 2 and len(self.valid) != 1:
            raise ConfigError("source-key and target-key name columns of a table, but each side has a file of its own")
        within(self, "label_smoothing", 0.0, 0.99)
        within(self, "subword_sampling", 0.0, 1.0)
