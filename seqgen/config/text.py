"""Where text comes from, and how it becomes tokens and batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import DATA, MAX_SIZE, TRAINING, Config, setting
from seqgen.errors import ConfigError

Tokens = Literal["char", "word", "sentencepiece"]
Order = Literal["length", "random"]
LossSteps = Literal["all", "random"]
Keep = Literal["loss", "bleu"]


@dataclass(frozen=True, kw_only=True)
class RunningTextConfig(Config):
    """Where a text comes from and how it becomes tokens; it is never made by itself.

    `valid` is a fraction (the tail of the text) or the path of a file or folder. `vocab_size` is how many sentencepiece
    pieces are made, or how many words, the most frequent ones, are kept (0: 1,000 and 10,000); characters need no
    number.
    """

    paths: tuple[str, ...] = ()
    valid: str = setting("0.1", DATA, "Validate on the tail (a fraction) or on a file.")
    tokens: Tokens = setting("char", DATA, "What a token is.")
    vocab_size: int = setting(0, DATA, "Sentencepiece pieces, or words.", low=0, high=MAX_SIZE)

    def __post_init__(self) -> None:
        assert type(self) is not RunningTextConfig, "a base"
        super().__post_init__()
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
class TextConfig(RunningTextConfig):
    """A text for a network that reads pieces of its own length."""


@dataclass(frozen=True, kw_only=True)
class RecurrentTextConfig(RunningTextConfig):
    """A text for a network that carries its hidden state further than the gradient flows back."""

    bptt: int = setting(128, DATA, "Tokens the gradient flows back through.", low=1, high=MAX_SIZE)


@dataclass(frozen=True, kw_only=True)
class ParallelConfig(Config):
    """Where the sentence pairs come from, and how they become batches.

    `paths` are two aligned files, or one table with both sides (tabs, CSV or JSON lines); `valid` likewise. The sides
    are the columns or keys `source_key` and `target_key`, if these are not empty (`seqgen.data.tables`). In the
    order `length` a batch holds pairs of similar length, `batch_size` of them on average and the same number of tokens
    each time; in the order `random` it holds `batch_size` pairs drawn at random. With `loss_steps` random only one
    position of each target, drawn at random, counts. `subword_sampling` is the alpha of `seqgen.data.subwords`. `keep`
    says what makes the best model, validation loss or BLEU.
    """

    paths: tuple[str, ...] = ()
    valid: tuple[str, ...] = setting(
        (),
        DATA,
        "Validate on these, or on one file with both sides; else on 2 % held out.",
        metavar="SOURCE TARGET",
    )
    source_key: str = setting(
        "",
        DATA,
        "Column or key of a table's sources, such as de or translation.de; a number where there is no header.",
        metavar="NAME",
    )
    target_key: str = setting("", DATA, "Column or key of a table's targets.", metavar="NAME")
    vocab_size: int = setting(5000, DATA, "Sentencepiece pieces.", low=2, high=MAX_SIZE)
    max_tokens: int = setting(128, DATA, "Pass over pairs with a longer side.", low=1, high=MAX_SIZE)
    order: Order = setting("length", DATA, "Batches of like length, or drawn at random.")
    label_smoothing: float = setting(0.1, TRAINING, "Probability spread over all tokens.", low=0, high=0.99)
    subword_sampling: float = setting(
        0.0,
        TRAINING,
        "Words cut into other pieces each time, by probability to this power, such as 0.3; 0: never.",
        low=0,
        high=1,
        metavar="ALPHA",
    )
    loss_steps: LossSteps = setting("all", TRAINING, "Positions of a target that count.")
    keep: Keep = setting("bleu", TRAINING, "What makes a model the best.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.source_key or self.target_key) and len(self.paths) == 2 and len(self.valid) != 1:
            raise ConfigError("source-key and target-key name columns of a table, but each side has a file of its own")
