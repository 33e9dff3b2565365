"""All that decides a run, one dataclass a command: what `training.json` keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqgen.config.images import AdversarialConfig, FeatureConfig, GanConfig, ImageConfig, LabelledConfig
from seqgen.config.networks import RecurrentConfig, Seq2SeqConfig, TransformerConfig, TransformerSeq2SeqConfig
from seqgen.config.text import ParallelConfig, RecurrentTextConfig, TextConfig
from seqgen.config.training import LEAST_DISTANCE, TrainConfig, WatchConfig
from seqgen.errors import ConfigError


class _OfText:
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
        if self.watch.watch_gradients and self.network.cell == "window":
            raise ConfigError("watch-gradients looks at a recurrent state, and a window has none")
        if self.watch.watch_gradients and self.text.bptt <= LEAST_DISTANCE:
            raise ConfigError(f"watch-gradients needs a bptt above {LEAST_DISTANCE}, not {self.text.bptt}")


@dataclass(frozen=True, kw_only=True)
class TransformerTextSettings(_OfText):
    """All that decides a `train-transformer` run on text, as `training.json` keeps it."""

    text: TextConfig = field(default_factory=TextConfig)
    network: TransformerConfig = field(default_factory=TransformerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(minutes=10.0, lr=4e-3))


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


class _OfImages:
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


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(_OfImages):
    """All that decides a `train-features` run, as `training.json` keeps it."""

    images: ImageConfig = field(default_factory=ImageConfig)
    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    network: FeatureConfig = field(default_factory=FeatureConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=10.0, batch_size=128, lr=3e-3, ema=0.999, eval_every=400)
    )
