"""Clips with captions, and the networks that put clips into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from seqgen.config.decoding import SearchConfig
from seqgen.config.fields import DATA, MAX_SIZE, MODEL, TRAINING, Config, ranged, same_setting, setting
from seqgen.config.images import MAX_IMAGE, MIN_IMAGE
from seqgen.config.networks import Attention, EncoderDecoderConfig, RecurrentCell
from seqgen.config.settings import MODELS, Settings, checked
from seqgen.config.training import TrainConfig
from seqgen.errors import ConfigError

ClipEncoder = Literal["mean", "sequence"]
KeepCaptioner = Literal["cider", "loss"]
# Frames of a clip that are read, at most: each goes through the frame network.
MOST_FRAMES = 256
FROZEN = "features:"

# Sums of log-probabilities favour short outputs, and a caption of one word says little.
CAPTION_SEARCH = SearchConfig(length_penalty=1.0)


@dataclass(frozen=True, kw_only=True)
class ClipConfig(Config):
    """Where clips and their captions come from, and how they become frames and tokens.

    `paths` is one list of captions (JSON, JSON lines or a table), or the folder that holds it. `valid` is a path of the
    same form, or the fraction of the clips that is held out; empty: the split that the data names, or a tenth. Of a
    clip `frames` frames are read, evenly over its duration.
    """

    paths: tuple[str, ...] = ()
    file_key: str = setting("", DATA, "Key or column of the files of clips.", metavar="NAME")
    caption_key: str = setting("", DATA, "Key or column of their captions.", metavar="NAME")
    valid: str = setting("", DATA, "Validate on a fraction of the clips, or a file; else as the data says, or a tenth.")
    frames: int = setting(8, DATA, "Frames of a clip that are read.", low=1, high=MOST_FRAMES)
    image_size: int = setting(48, DATA, "Height and width of a frame.", low=MIN_IMAGE, high=MAX_IMAGE)
    vocab_size: int = setting(1000, DATA, "Sentencepiece pieces.", low=2, high=MAX_SIZE)
    shift: float = setting(0.08, TRAINING, "Move clips at random by up to this share of a side.", low=0, high=0.5)
    label_smoothing: float = setting(0.1, TRAINING, "Probability spread over all tokens.", low=0, high=0.99)
    keep: KeepCaptioner = setting("cider", TRAINING, "What makes a model the best.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (fraction := self.valid_fraction) is not None and not 0.0 <= fraction < 1.0:
            raise ConfigError(f"valid is {self.valid}, but a fraction lies in [0, 1)", hint="try --valid 0.1")
        if len(self.paths) > 1:
            raise ConfigError(f"captions come from one list, not {len(self.paths)}", hint="put them into one file")

    @property
    def valid_fraction(self) -> float | None:
        """The share of the clips that is held out; None when `valid` is a path, or nothing is said."""
        try:
            return float(self.valid)
        except ValueError:
            return None

    @property
    def valid_path(self) -> str | None:
        """The file that is validated on, if one is named."""
        return self.valid if self.valid and self.valid_fraction is None else None


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig(EncoderDecoderConfig):
    """A network that reads the frames of a clip and writes a sentence.

    `cnn` is `small`, which is trained along, or `features:` and the name of a feature network, which stays as it is.
    The encoder `mean` averages the features of all frames, and the decoder is given this average in every step
    (Venugopalan et al. 2015, "Translating videos to natural language"); `sequence` reads the frames in order, and the
    decoder may attend to them. `bag_of_words` weighs a second loss: which words the captions of a clip have, told from
    the mean of what was read.
    """

    short_name: ClassVar[str] = "captions"

    encoder: ClipEncoder = setting("sequence", MODEL, "Average the frames, or read them in order.")
    cnn: str = setting("small", MODEL, "small, or features:NAME: a feature network as it is.", metavar="NETWORK")
    cnn_size: int = setting(32, MODEL, "Channels of the first stage of --cnn small.", low=1, high=4096)
    bag_of_words: float = setting(0.3, TRAINING, "Weight of a second loss: which words captions have.", low=0, high=100)
    cell: RecurrentCell = same_setting(EncoderDecoderConfig, "cell", "gru")
    embed_size: int = same_setting(EncoderDecoderConfig, "embed_size", 128)
    hidden_size: int = same_setting(EncoderDecoderConfig, "hidden_size", 256)
    dropout: float = same_setting(EncoderDecoderConfig, "dropout", 0.4)
    attention: Attention = same_setting(EncoderDecoderConfig, "attention", "additive")
    attention_size: int = same_setting(EncoderDecoderConfig, "attention_size", 128)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cnn != "small" and not (self.cnn.startswith(FROZEN) and self.cnn != FROZEN):
            raise ConfigError(f"cnn is {self.cnn!r}", hint="small, or features:NAME such as features:efficientnet")

    @property
    def frozen(self) -> str:
        """The name of the feature network that stays as it is; empty if a CNN is trained along."""
        return self.cnn.removeprefix(FROZEN) if self.cnn != "small" else ""

    @property
    def attention_kind(self) -> Attention:
        """See `EncoderDecoderConfig`: the average is one thing to attend to, whatever the scores."""
        return "dot" if self.encoder == "mean" else self.attention

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = dict(super().idle)
        if self.encoder == "mean":
            idle |= dict.fromkeys(("attention", "attention_size", "bidirectional"), "with --encoder mean")
        if self.frozen:
            idle["cnn_size"] = f"with --cnn {self.cnn}"
        return idle


@dataclass(frozen=True, kw_only=True)
class CaptionerModelConfig(Config):
    """All that `config.json` says of a captioner.

    Where a feature network is frozen, `feature_size` is that of its features, and `features_sha256` tells it from
    others of its name.
    """

    network: CaptionerConfig
    frames: int = ranged(8, low=1, high=MOST_FRAMES)
    image_size: int = ranged(48, low=MIN_IMAGE, high=MAX_IMAGE)
    feature_size: int = ranged(0, low=0, high=MAX_SIZE)
    features_sha256: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.network.frozen) != bool(self.feature_size):
            raise ConfigError(f"cnn is {self.network.cnn!r}, but feature-size is {self.feature_size}")


@checked
@dataclass(frozen=True, kw_only=True)
class CaptionerSettings(Settings):
    """All that decides a `train-captioner` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-captioner"
    clips: ClipConfig = field(default_factory=ClipConfig)
    network: CaptionerConfig = field(default_factory=CaptionerConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            minutes=10.0,
            batch_size=32,
            lr=2e-3,
            warmup_steps=50,
            weight_decay=0.05,
            ema=0.995,
            eval_every=100,
            save_every=200,
        )
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.clips.paths

    @property
    def directory(self) -> Path:
        """See `Settings`: captions are often in a file called `captions`, whose folder says what they are of."""
        if self.paths[0] == "-":
            return MODELS / f"stdin-{self.network.short_name}"
        path = Path(self.paths[0]).resolve()
        name = path.parent.name if path.stem == "captions" and path.parent.name else path.stem
        return MODELS / f"{name}-{self.network.short_name}"

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = dict(super().idle)
        if self.clips.valid_fraction == 0:
            idle |= dict.fromkeys(("patience", "keep"), f"with --valid {self.clips.valid}")
        if self.network.frozen:  # frames became features before the training began
            idle["shift"] = f"with --cnn {self.network.cnn}"
        return idle
