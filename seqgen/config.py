"""What a person can choose: frozen dataclasses, checked when they are made, to and from JSON.

One dataclass per architecture (`RecurrentConfig`), one for the data (`TextConfig`), one for the training loop
(`TrainConfig`), and one per command that ties them (`LanguageModelSettings`). The defaults here are the defaults
of the command line. A model directory keeps the architecture in `config.json` and the settings in
`training.json`; both come back through `from_json`, which trusts nothing: unknown fields, wrong types and
sizes out of range are errors that name the field.

Standard library only, so that `--help` stays fast.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from seqgen.errors import ConfigError

Architecture = Literal["recurrent"]
GanArchitecture = Literal["dcgan", "cgan"]
GanBody = Literal["dcgan", "spectral", "residual"]
GanLoss = Literal["minimax", "non-saturating", "least-squares", "hinge", "wasserstein-gp", "relativistic"]
Augment = Literal["none", "colour", "translation", "cutout", "all"]
OnCollapse = Literal["warn", "stop", "rollback"]
Channels = Literal["auto", "grey", "rgb"]
Fit = Literal["crop", "pad"]
Cell = Literal["rnn", "lstm", "gru"]
Attention = Literal["none", "dot", "general", "additive"]
Start = Literal["eos", "sos"]
Tokens = Literal["char", "sentencepiece"]
Order = Literal["length", "random"]
LossSteps = Literal["all", "random"]
Keep = Literal["loss", "bleu"]
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["auto", "fp32", "bf16"]
Weights = Literal["fp32", "fp16"]

# Larger than any network for a laptop, small enough that a hostile config.json cannot ask for the machine.
MAX_SIZE = 65_536
MAX_LAYERS = 64
MIN_IMAGE, MAX_IMAGE = 4, 1024
MAX_CLASSES = 10_000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """A stack of recurrent layers between an embedding and an output layer.

    In training `dropout` is the share of a layer's outputs that is dropped, `weight_drop` that of the recurrent
    weights.
    """

    cell: Cell = "lstm"
    embed_size: int = 64
    hidden_size: int = 384
    num_layers: int = 2
    dropout: float = 0.2
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        _within(self, "embed_size", 1, MAX_SIZE)
        _within(self, "hidden_size", 1, MAX_SIZE)
        _within(self, "num_layers", 1, MAX_LAYERS)
        _within(self, "dropout", 0.0, 0.99)
        _within(self, "weight_drop", 0.0, 0.99)


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """A recurrent encoder-decoder.

    `hidden_size` is that of a decoder layer; the encoder's directions share it when there are two. `attention` says how
    the decoder looks back at the source, `attention_size` is the hidden size of the additive kind. `input_feeding`
    gives the decoder what it attended to at the step before. `tied` shares one matrix between the target's embedding
    and the output layer, and the source's embedding too when the vocabulary is joint. `start` is the symbol that the
    decoder is given first: one of its own, or the one that ends sequences.
    """

    cell: Cell = "lstm"
    embed_size: int = 256
    hidden_size: int = 512
    num_layers: int = 1
    dropout: float = 0.3
    bidirectional: bool = True
    attention: Attention = "general"
    attention_size: int = 256
    input_feeding: bool = True
    tied: bool = True
    joint: bool = True
    reverse_source: bool = False
    start: Start = "sos"

    def __post_init__(self) -> None:
        for name in ("embed_size", "hidden_size", "attention_size"):
            _within(self, name, 1, MAX_SIZE)
        _within(self, "num_layers", 1, MAX_LAYERS)
        _within(self, "dropout", 0.0, 0.99)
        if self.bidirectional and self.hidden_size % 2:
            raise ConfigError(f"hidden-size is {self.hidden_size}, but two directions share it: it must be even")


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """Where the sentence pairs come from, and how they become batches.

    `paths` are two aligned files, or one file with both sides (TSV, or JSONL by its ending); `valid` likewise. In the
    order `length` a batch holds pairs of similar length, `batch_size` of them on average and the same number of tokens
    each time; in the order `random` it holds `batch_size` pairs drawn at random. With `loss_steps` random only one
    position of each target, drawn at random, counts. `keep` says what makes the best model, validation loss or BLEU.
    """

    paths: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    vocab_size: int = 5000
    max_tokens: int = 128
    order: Order = "length"
    loss_steps: LossSteps = "all"
    label_smoothing: float = 0.1
    keep: Keep = "bleu"

    def __post_init__(self) -> None:
        _within(self, "vocab_size", 2, MAX_SIZE)
        _within(self, "max_tokens", 1, MAX_SIZE)
        _within(self, "label_smoothing", 0.0, 0.99)


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Where the text comes from and how it becomes tokens.

    `valid` is a fraction (the tail of the text) or the path of a file or folder. `vocab_size` is the number of
    sentencepiece pieces asked for; characters need no number. `bptt` is how many tokens the gradient flows back
    through; the hidden state is carried further than that.
    """

    paths: tuple[str, ...] = ()
    valid: str = "0.1"
    tokens: Tokens = "char"
    vocab_size: int = 1000
    bptt: int = 64

    def __post_init__(self) -> None:
        _within(self, "vocab_size", 2, MAX_SIZE)
        _within(self, "bptt", 1, MAX_SIZE)
        if (fraction := self.valid_fraction) is not None and not 0.0 <= fraction < 1.0:
            raise ConfigError(f"valid is {self.valid}, but a fraction lies in [0, 1)", hint="try --valid 0.1")

    @property
    def valid_fraction(self) -> float | None:
        """The tail of the text that is kept for validation, or None when `valid` is a path."""
        try:
            return float(self.valid)
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Where images come from and how they become arrays of one size.

    `paths` are folders, zip or tar files, idx or npz files; `labels` is the label file of an idx file when its name
    does not tell. `image_size` is a number of pixels or HEIGHTxWIDTH; empty: the size of the images if all are alike,
    else the most common one. `fit` says what becomes of an image of another shape: its middle, or all of it with a
    border.
    """

    paths: tuple[str, ...] = ()
    labels: str = ""
    image_size: str = ""
    channels: Channels = "auto"
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.image_size and self.size is None:
            raise ConfigError(f"image-size is {self.image_size!r}", hint="a number of pixels, or HEIGHTxWIDTH: 32x48")
        for side in self.size or ():
            if not MIN_IMAGE <= side <= MAX_IMAGE:
                raise ConfigError(f"image-size is {self.image_size}, but a side has {MIN_IMAGE} to {MAX_IMAGE} pixels")

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels, or None when the images decide."""
        sides = self.image_size.lower().split("x")
        if not 1 <= len(sides) <= 2 or not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
            return None
        return int(sides[0]), int(sides[-1])


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """The shape of the images that a model makes, and the names of their classes, none without labels."""

    channels: int
    height: int
    width: int
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within(self, "channels", 1, 4)
        _within(self, "height", MIN_IMAGE, MAX_IMAGE)
        _within(self, "width", MIN_IMAGE, MAX_IMAGE)
        if len(self.classes) > MAX_CLASSES:
            raise ConfigError(f"there are {len(self.classes)} classes, but at most {MAX_CLASSES} are possible")


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """A generator and a discriminator.

    `arch` says whether both are told the label (`cgan`). `body` is the kind of network: `dcgan` has batch norm in both,
    `spectral` has spectral norm in the discriminator instead, `residual` has no norm at all. The layers nearest to the
    image have `generator_size` and `discriminator_size` channels; the number doubles with each halving of the image, up
    to eightfold.
    """

    arch: GanArchitecture = "dcgan"
    body: GanBody = "dcgan"
    latent_size: int = 64
    generator_size: int = 48
    discriminator_size: int = 32

    def __post_init__(self) -> None:
        for name in ("latent_size", "generator_size", "discriminator_size"):
            _within(self, name, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class GanNetworks:
    """What a GAN's `config.json` keeps: enough to build both networks."""

    images: ImageFormat
    gan: GanConfig


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """The game that the two networks play.

    `r1` and `r2` weigh the squared gradient of the discriminator at real and at fake images, `gradient_penalty` that of
    `wasserstein-gp` between them. The discriminator's learning rate is `lr_ratio` times the generator's, and it moves
    `discriminator_steps` times for each move of the generator. `features` names the network that Fréchet distances are
    measured with; auto takes one that knows these images, else their pixels.
    """

    loss: GanLoss = "non-saturating"
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 10.0
    lr_ratio: float = 1.0
    discriminator_steps: int = 1
    augment: Augment = "none"
    features: str = "auto"
    on_collapse: OnCollapse = "warn"

    def __post_init__(self) -> None:
        for name in ("r1", "r2", "gradient_penalty"):
            _within(self, name, 0.0, 1e6)
        _within(self, "lr_ratio", 0.0, 1e3)
        _within(self, "discriminator_steps", 1, 100)


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """A convolutional classifier whose inner layer serves to compare images.

    Its first stage has `base_size` channels, its last one `feature_size`, which is the size of the features; a hidden
    layer of `hidden_size` lies between these and the classes.
    """

    base_size: int = 32
    feature_size: int = 96
    hidden_size: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("base_size", "feature_size", "hidden_size"):
            _within(self, name, 1, 4096)
        _within(self, "dropout", 0.0, 0.99)


@dataclass(frozen=True, kw_only=True)
class FeatureNetworks:
    """What the `config.json` of a feature network keeps."""

    images: ImageFormat
    features: FeatureConfig


@dataclass(frozen=True, kw_only=True)
class LabelledConfig:
    """How labelled images are learned from.

    `valid` is the share of them that is held out, drawn at random. `shift` is how far an image is moved at random in
    training, as a share of its sides.
    """

    valid: float = 0.05
    shift: float = 0.08

    def __post_init__(self) -> None:
        _within(self, "valid", 0.0, 0.9)
        _within(self, "shift", 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop: for how long, how fast, and what it keeps.

    Exactly one of `steps`, `epochs` and `minutes` bounds the run. `batch_size` counts the examples of one
    optimizer step whatever `grad_accumulation` is: the latter computes the same step in that many parts, in
    less memory. `precision` is that of the matrix products in training, `weights` that of the published model.
    """

    seed: int = 0
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch_size: int = 32
    grad_accumulation: int = 1
    lr: float = 6e-3
    schedule: Schedule = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0
    ema: float = 0.998
    precision: Precision = "auto"
    weights: Weights = "fp32"
    eval_every: int = 500
    save_every: int = 500
    log_every: int = 10
    patience: int = 0
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        budgets = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(budgets) != 1:
            said = " and ".join(budgets) or "none of them"
            raise ConfigError(f"one of steps, epochs and minutes bounds a run, not {said}")
        _within(self, budgets[0], 0, 2**40)
        _within(self, "seed", 0, 2**63 - 1)
        _within(self, "batch_size", 1, 2**20)
        _within(self, "grad_accumulation", 1, self.batch_size)
        _within(self, "lr", 0.0, 1e3)
        _within(self, "warmup_steps", 0, 2**40)
        _within(self, "weight_decay", 0.0, 1e3)
        _within(self, "beta1", 0.0, 0.999_999)
        _within(self, "beta2", 0.0, 0.999_999)
        _within(self, "clip", 0.0, math.inf)
        _within(self, "ema", 0.0, 0.999_999)
        for name in ("eval_every", "save_every", "log_every"):
            _within(self, name, 1, 2**40)
        _within(self, "patience", 0, 2**40)
        _within(self, "threads", 0, 4096)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a token is drawn. `top_k` 0 and `top_p` 1 keep every token; `temperature` 0 is greedy."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        _within(self, "temperature", 0.0, 1e6)
        _within(self, "top_k", 0, 2**40)
        _within(self, "top_p", 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Which output is wanted, whatever method looks for it.

    The score of an output Y of n tokens, its end symbol included, is (Wu et al. 2016, eq. 14)
    `log P(Y) / lp(n) + coverage_penalty * sum_i log min(sum_j a_ij, 1)` with
    `lp(n) = ((5 + n) / 6) ** length_penalty` and the attention `a_ij` that target token j pays to source token i. With
    both penalties 0 it is the sum of log-probabilities.

    `min_length` counts tokens before the end symbol. No output repeats a sequence of `no_repeat_ngram` tokens (0: any
    may). `n_best` outputs are returned. `beam_size` and `max_hypotheses` (0: no limit) concern the beam,
    `max_nodes` and `max_seconds` of one sentence (0: no limit) the exhaustive search.
    """

    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    no_repeat_ngram: int = 0
    n_best: int = 1
    beam_size: int = 5
    max_hypotheses: int = 0
    max_nodes: int = 100_000
    max_seconds: float = 10.0

    def __post_init__(self) -> None:
        _within(self, "length_penalty", 0.0, 100.0)
        _within(self, "coverage_penalty", 0.0, 100.0)
        for name in ("min_length", "no_repeat_ngram", "max_hypotheses", "max_nodes"):
            _within(self, name, 0, 2**40)
        _within(self, "max_seconds", 0.0, math.inf)
        _within(self, "n_best", 1, 2**20)
        _within(self, "beam_size", 1, 2**20)


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """All that decides a `train-lm` run, as `training.json` keeps it."""

    text: TextConfig = field(default_factory=TextConfig)
    network: RecurrentConfig = field(default_factory=RecurrentConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(minutes=10.0))

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.text.paths


@dataclass(frozen=True, kw_only=True)
class TranslationSettings:
    """All that decides a `train-seq2seq` run, as `training.json` keeps it."""

    text: ParallelConfig = field(default_factory=ParallelConfig)
    network: Seq2SeqConfig = field(default_factory=Seq2SeqConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(minutes=30.0, batch_size=128, lr=2e-3, warmup_steps=200, ema=0.999)
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.text.paths


@dataclass(frozen=True, kw_only=True)
class GanSettings:
    """All that decides a `gan-train` run, as `training.json` keeps it. The defaults are the preset `quick`."""

    images: ImageConfig = field(default_factory=ImageConfig)
    network: GanConfig = field(default_factory=GanConfig)
    game: AdversarialConfig = field(default_factory=AdversarialConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            minutes=15.0,
            batch_size=64,
            lr=1e-3,
            warmup_steps=0,
            weight_decay=0.0,
            beta1=0.5,
            beta2=0.999,
            clip=0.0,
            ema=0.999,
        )
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.images.paths


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """All that decides a `train-features` run, as `training.json` keeps it."""

    images: ImageConfig = field(default_factory=ImageConfig)
    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    network: FeatureConfig = field(default_factory=FeatureConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=10.0, batch_size=128, lr=3e-3, ema=0.999, eval_every=400)
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.images.paths


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as a JSON object; `from_json` is its inverse."""
    return dataclasses.asdict(config)


def from_json(cls: type[T], data: object, *, where: str) -> T:
    """A configuration from parsed JSON, every field checked.

    Args:
        cls (type[T]): the dataclass to make.
        data (object): what the JSON parser returned.
        where (str): what an error names, such as `models/x/config.json: network`.

    Raises:
        ConfigError: the object has an unknown field, a wrong type or a value out of range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where} is not an object")
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            raise ConfigError(
                f"{where} has an unknown field {reprlib.repr(name)}", hint=f"meant {near[0]!r}?" if near else ""
            )
    values = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in data.items()}
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.name not in values and f.default is f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} has no field {f.name!r}")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _convert(value: object, kind: Any, where: str) -> Any:
    """The value as `kind`, or a ConfigError; JSON's integers pass for floats and its lists for tuples."""
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast("type[Any]", kind), value, where=where)
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value in typing.get_args(kind):
            return value
        raise ConfigError(f"{where} is {reprlib.repr(value)}, not one of {', '.join(map(repr, typing.get_args(kind)))}")
    if origin is types.UnionType:
        if value is None:
            return None
        return _convert(value, next(arm for arm in typing.get_args(kind) if arm is not type(None)), where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {reprlib.repr(value)}, not a list")
        return tuple(_convert(item, typing.get_args(kind)[0], where) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where} is too large") from None
    if type(value) is not kind:
        raise ConfigError(f"{where} is {reprlib.repr(value)}, not of type {kind.__name__}")
    return value


def _within(config: object, name: str, low: float, high: float) -> None:
    """Refuse a field outside [low, high]; not-a-number is outside of everything."""
    value = getattr(config, name)
    if not low <= value <= high:
        above = f"at least {low:g}" if value < low else f"at most {high:g}" if value > high else "a number"
        raise ConfigError(f"{name.replace('_', '-')} is {value}, but must be {above}")
