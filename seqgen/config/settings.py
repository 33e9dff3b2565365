"""All that decides a run, one dataclass a command: what `training.json` keeps."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from seqgen.config.fields import Config
from seqgen.config.images import AdversarialConfig, FeatureConfig, GanConfig, ImageConfig, LabelledConfig
from seqgen.config.networks import RecurrentConfig, Seq2SeqConfig, TransformerConfig, TransformerSeq2SeqConfig
from seqgen.config.text import ParallelConfig, RecurrentTextConfig, TextConfig
from seqgen.config.training import LEAST_DISTANCE, TrainConfig, WatchConfig
from seqgen.errors import ConfigError

# Nothing that works on a state.
NO_RECURRENCE = {"decay_recurrent": "on a network without recurrence"}


def _without_validation(text: TextConfig) -> Mapping[str, str]:
    return {"patience": f"with --valid {text.valid}"} if text.valid_fraction == 0 else {}


class Settings(Config, ABC):
    """What the settings of all training commands have."""

    train: TrainConfig

    @property
    @abstractmethod
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: of all parts."""
        idle: dict[str, str] = {}
        for part in dataclasses.fields(self):  # type: ignore[arg-type]
            idle |= getattr(self, part.name).idle
        return idle


class _OfText(Settings):
    text: TextConfig | ParallelConfig

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.text.paths


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(_OfText):
    """All that decides a `train-lm` run, as `training.json` keeps it."""

    text: RecurrentTextConfig = field(default_factory=RecurrentTextConfig)
    network: RecurrentConfig = field(default_factory=RecurrentConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(minutes=10.0, weight_decay=0.2))
    watch: WatchConfig = field(default_factory=WatchConfig)

    def __post_init__(self) -> None:
        if self.watch.watch_gradients and self.text.bptt <= LEAST_DISTANCE:
            raise ConfigError(f"watch-gradients needs a bptt above {LEAST_DISTANCE}, not {self.text.bptt}")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: a window has neither recurrent matrices nor a state."""
        idle = {**super().idle, **_without_validation(self.text)}
        if self.network.cell == "window":
            idle |= dict.fromkeys(("decay_recurrent", "watch_gradients"), "with --cell window")
        return idle


@dataclass(frozen=True, kw_only=True)
class TransformerTextSettings(_OfText):
    """All that decides a `train-transformer` run on text, as `training.json` keeps it."""

    text: TextConfig = field(default_factory=TextConfig)
    network: TransformerConfig = field(default_factory=TransformerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(minutes=10.0, lr=4e-3))

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {**super().idle, **_without_validation(self.text), **NO_RECURRENCE}


@dataclass(frozen=True, kw_only=True)
class TranslationSettings(_OfText):
    """All that decides a `train-seq2seq` run, as `training.json` keeps it."""

    text: ParallelConfig = field(default_factory=ParallelConfig)
    network: Seq2SeqConfig = field(default_factory=Seq2SeqConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(minutes=30.0, batch_size=128, lr=2e-3, warmup_steps=200, ema=0.999)
    )


@dataclass(frozen=True, kw_only=True)
class TransformerPairsSettings(_OfText):
    """All that decides a `train-transformer` run on sentence pairs, as `training.json` keeps it."""

    text: ParallelConfig = field(default_factory=ParallelConfig)
    network: TransformerSeq2SeqConfig = field(default_factory=TransformerSeq2SeqConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(minutes=30.0, batch_size=128, lr=1.5e-3, warmup_steps=400, ema=0.999)
    )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {**super().idle, **NO_RECURRENCE}


class _OfImages(Settings):
    images: ImageConfig

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data is."""
        return self.images.paths


@dataclass(frozen=True, kw_only=True)
class GanSettings(_OfImages):
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

    def __post_init__(self) -> None:
        if self.train.grad_accumulation != 1:
            raise ConfigError("grad-accumulation is not for a GAN, whose batch norm sees a batch as a whole")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: labels are for the networks, and for features that know classes."""
        idle = {**super().idle, **NO_RECURRENCE}
        if self.network.arch == "dcgan" and self.game.features == "pixels":
            idle["labels"] = "with --arch dcgan and --features pixels"
        return idle


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(_OfImages):
    """All that decides a `train-features` run, as `training.json` keeps it."""

    images: ImageConfig = field(default_factory=ImageConfig)
    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    network: FeatureConfig = field(default_factory=FeatureConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=10.0, batch_size=128, lr=3e-3, ema=0.999, eval_every=400)
    )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = {**super().idle, **NO_RECURRENCE}
        return idle if self.labelled.valid else {**idle, "patience": "with --valid 0"}
