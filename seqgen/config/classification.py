"""Texts with labels, and the networks that tell them apart: one label a text, or one for each word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from seqgen.config.fields import DATA, MAX_LAYERS, MAX_SIZE, MODEL, TRAINING, Config, ranged, setting
from seqgen.config.images import MAX_CLASSES
from seqgen.config.networks import MOST_DROPPED, PeepholeKind, RecurrentCell, TransformerConfig
from seqgen.config.settings import MODELS, Settings, checked
from seqgen.config.training import TrainConfig
from seqgen.errors import ConfigError
from seqgen.names import fault, shown

ClassifierCell = Literal[RecurrentCell, "transformer"]
Pool = Literal["last", "mean", "max", "attention"]
LabelledTokens = Literal["auto", "char", "word", "sentencepiece"]
Balance = Literal["none", "sqrt", "full"]
KeepClassifier = Literal["accuracy", "macro-f1", "loss"]


@dataclass(frozen=True, kw_only=True)
class LabelledTextConfig(Config):
    """Where texts and their labels come from, and how they become tokens and batches.

    `paths` are a table (tabs, CSV or JSON lines), a folder with a file or a folder for each class, or files that are
    named by their class. With `per_token` they are lines of `word TAB tag`, a blank line after each sentence. `valid`
    is the fraction of the texts that is held out, or a path of the same form. A text of more than `max_length` tokens
    is cut, or, with `chunk`, read in pieces, whose probabilities are averaged.
    """

    paths: tuple[str, ...] = ()
    per_token: bool = setting(False, DATA, "One label for each word: lines of word TAB tag.")
    text_column: str = setting("", DATA, "Column or key of a table's texts, or words; or its number.", metavar="NAME")
    label_column: str = setting("", DATA, "Column or key of its labels; or its number.", metavar="NAME")
    valid: str = setting("0.1", DATA, "Validate on a fraction of the texts, or on a path.")
    tokens: LabelledTokens = setting("auto", DATA, "What a token is; auto: word for sentences, char for single words.")
    vocab_size: int = setting(0, DATA, "Sentencepiece pieces, or words.", low=0, high=MAX_SIZE)
    max_length: int = setting(400, DATA, "Tokens of a text that are read.", low=1, high=MAX_SIZE)
    chunk: bool = setting(False, DATA, "Read all of a longer text, in pieces of this length.")
    balance: Balance = setting("none", TRAINING, "Weight rare classes more, by the root of their rarity or in full.")
    label_smoothing: float = setting(0.0, TRAINING, "Probability spread over all labels.", low=0, high=0.99)
    word_dropout: float = setting(
        0.25, TRAINING, "Tokens seen n times are hidden with probability A / (A + n).", low=0, high=1e3, metavar="A"
    )
    keep: KeepClassifier = setting("accuracy", TRAINING, "What makes a model the best.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (fraction := self.valid_fraction) is not None and not 0.0 <= fraction < 1.0:
            raise ConfigError(f"valid is {self.valid}, but a fraction lies in [0, 1)", hint="try --valid 0.1")

    @property
    def valid_fraction(self) -> float | None:
        """The share of the texts that is held out, or None when `valid` is a path."""
        try:
            return float(self.valid)
        except ValueError:
            return None

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: words need no other tokens, characters no number, and every word of a sentence is read."""
        idle = {"vocab_size": "with --tokens char"} if self.tokens == "char" and not self.per_token else {}
        if self.per_token:
            idle |= dict.fromkeys(("tokens", "chunk"), "with --per-token")
        return idle


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Config):
    """A network that reads a sequence and says of which class it is, or each of its tokens.

    Two directions have weights of their own and share `hidden_size`. `pool` makes one vector of the outputs at all
    tokens. Where tokens are words, a character RNN of `char_size` reads the letters of each, beside its own vector.
    """

    cell: ClassifierCell = setting("gru", MODEL, "The recurrent cell, or transformer.")
    peephole: PeepholeKind = setting("diagonal", MODEL, "What gates of --cell peephole read: own unit, or all.")
    bidirectional: bool = setting(True, MODEL, "Read in both directions.", "--bidirectional/--unidirectional")
    pool: Pool = setting("last", MODEL, "What becomes of the outputs at all tokens: one vector.")
    embed_size: int = setting(96, MODEL, "Size of a token's vector.", low=1, high=MAX_SIZE)
    char_size: int = setting(64, MODEL, "Size of the character RNN of each word; 0: none.", low=0, high=MAX_SIZE)
    hidden_size: int = setting(256, MODEL, "Size of a layer, both directions together.", low=1, high=MAX_SIZE)
    num_layers: int = setting(1, MODEL, "Layers.", "--layers", low=1, high=MAX_LAYERS)
    num_heads: int = setting(4, MODEL, "Attention heads of --cell transformer.", "--heads", low=1)
    embed_dropout: float = setting(0.3, MODEL, "Share of values dropped after the embedding.", low=0, high=MOST_DROPPED)
    dropout: float = setting(0.4, MODEL, "Share of values dropped after each layer.", low=0, high=MOST_DROPPED)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "char_size"):
            if (name == "char_size" or (self.bidirectional and self.cell != "transformer")) and getattr(self, name) % 2:
                raise ConfigError(
                    f"{self.word(name)} is {getattr(self, name)}, but two directions share it: it must be even"
                )
        if self.cell == "transformer":
            _ = self.transformer  # its sizes are checked

    @property
    def transformer(self) -> TransformerConfig:
        """The layers of `cell` transformer; unidirectional, a token attends to none after it."""
        return TransformerConfig(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            embed_size=self.hidden_size,
            ffn_size=4 * self.hidden_size,
            dropout=self.dropout,
            causal=not self.bidirectional,
        )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = {} if self.cell == "peephole" else {"peephole": f"with --cell {self.cell}"}
        return idle if self.cell == "transformer" else {**idle, "num_heads": f"with --cell {self.cell}"}


@dataclass(frozen=True, kw_only=True)
class ClassifierModelConfig(Config):
    """All that `config.json` says of a classifier.

    `characters` is the size of the alphabet of the character RNN, 0 without one. Logits are divided by `temperature`
    before they become probabilities.
    """

    network: ClassifierConfig
    classes: tuple[str, ...]
    per_token: bool
    max_length: int = ranged(1, low=1, high=MAX_SIZE)
    chunk: bool = False
    characters: int = ranged(0, low=0, high=0x110000)
    temperature: float = ranged(1.0, low=1e-3, high=1e3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= len(self.classes) <= MAX_CLASSES:
            raise ConfigError(f"there are {len(self.classes)} classes, but 2 to {MAX_CLASSES} are possible")
        for name in self.classes:
            if why := fault_of_label(name):
                raise ConfigError(f"the class {shown(repr(name[:80]))} {why}, so it is no label")
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError("a class is named twice")


def fault_of_label(name: str) -> str:
    """Why this cannot be a label, in a few words; empty if it can. A label is no path, so that it may have slashes."""
    return fault(name.replace("/", "").replace("\\", "") or "-") if name not in (".", "..") else ""


@checked
@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(Settings):
    """All that decides a `train-classifier` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-classifier"
    text: LabelledTextConfig = field(default_factory=LabelledTextConfig)
    network: ClassifierConfig = field(default_factory=ClassifierConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            minutes=5.0, batch_size=64, lr=4e-3, warmup_steps=50, weight_decay=0.05, ema=0.998, eval_every=200
        )
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.text.paths

    @property
    def directory(self) -> Path:
        """See `Settings`."""
        name = "stdin" if self.paths[0] == "-" else Path(self.paths[0]).resolve().stem
        return MODELS / f"{name}-{'tags' if self.text.per_token else 'classes'}"

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = dict(super().idle)
        if self.text.valid_fraction == 0:
            idle |= dict.fromkeys(("patience", "keep"), f"with --valid {self.text.valid}")
        if self.text.tokens in ("char", "sentencepiece") and not self.text.per_token:
            idle["char_size"] = f"with --tokens {self.text.tokens}"
        if self.text.per_token:
            idle["pool"] = "with --per-token"
        if self.network.cell == "transformer" and ("char_size" in idle or not self.network.char_size):
            idle["decay_recurrent"] = "with --cell transformer"
        return idle
