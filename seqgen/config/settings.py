"""All that decides a run, one dataclass a command: what `training.json` keeps."""

from __future__ import annotations

import dataclasses
import shlex
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from seqgen.config.fields import Config, Option, to_json
from seqgen.config.images import (
    AdversarialConfig,
    FeatureConfig,
    GanConfig,
    ImageConfig,
    LabelledConfig,
    LapGanConfig,
    LapGanGameConfig,
)
from seqgen.config.networks import RecurrentConfig, Seq2SeqConfig, TransformerConfig, TransformerSeq2SeqConfig
from seqgen.config.text import ParallelConfig, RecurrentTextConfig, RunningTextConfig, TextConfig
from seqgen.config.training import BUDGETS, LEAST_DISTANCE, TrainConfig, WatchConfig
from seqgen.errors import ConfigError

# Only recurrent matrices can be spared by weight decay.
NO_RECURRENCE = {"decay_recurrent": "on a network without recurrence"}


def _without_validation(text: RunningTextConfig) -> Mapping[str, str]:
    return {"patience": f"with --valid {text.valid}"} if text.valid_fraction == 0 else {}


S = TypeVar("S", bound="Settings")


class Settings(Config, ABC):
    """What the settings of all training commands have: parts, each a dataclass, no two with a field of one name."""

    command: ClassVar[str]
    """That which they belong to."""
    always: ClassVar[tuple[str, ...]] = ()
    """Words that tell the command that these settings are meant, where it has several."""
    unused: ClassVar[Mapping[str, str]] = {}
    """Fields that the command has no option for, and why."""
    train: TrainConfig

    @property
    @abstractmethod
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""

    @property
    @abstractmethod
    def directory(self) -> Path:
        """Where a run goes if nothing else is said."""

    def command_line(self, directory: Path) -> str:
        """The command that gives these settings, defaults left out, and what nothing reads."""
        # A name that begins with a dash would be read as an option.
        paths = (f"./{path}" if path.startswith("-") and path != "-" else path for path in self.paths)
        words = ["seqgen", self.command, *paths, *self.always]
        options = self.options()
        for name, (_, value) in differences(type(self)(), self).items():
            if name in options and name not in self.idle and value is not None:
                words += options[name].typed(value)
        return shlex.join([*words, "--out", str(directory)])

    @classmethod
    def parts(cls) -> dict[str, type[Config]]:
        """The dataclasses that the settings are made of, by the name of their field."""
        hints = typing.get_type_hints(cls)
        return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def options(cls) -> dict[str, Option]:
        """The options of the fields of all parts, by name of the field."""
        return {
            name: option
            for part in cls.parts().values()
            for name, option in part.options().items()
            if name not in cls.unused
        }

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: of all parts."""
        idle = dict(self.unused)
        for part in self.parts():
            idle |= getattr(self, part).idle
        return idle


def checked(cls: type[S]) -> type[S]:
    """Settings as they are, of whose parts no two have a field of one name: options and JSON could not tell them apart.

    Raises:
        TypeError: two parts share a name.
    """
    owners: dict[str, str] = {}
    for part, kind in cls.parts().items():
        for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            if name in owners:
                raise TypeError(f"{cls.__name__}: both {owners[name]} and {part} have a field {name}")
            owners[name] = part
    return cls


def replace(settings: S, chosen: Mapping[str, Any]) -> S:
    """The settings with some fields changed, each in the part that has it; one budget replaces another."""
    changed: dict[str, Any] = {}
    for part in settings.parts():
        old = getattr(settings, part)
        names = {field.name for field in dataclasses.fields(old)}
        changes = {name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items() if name in names}
        if any(name in changes for name in BUDGETS):
            changes = dict.fromkeys(BUDGETS) | changes
        changed[part] = dataclasses.replace(old, **changes)
    return type(settings)(**changed)


def differences(one: Settings, two: Settings) -> dict[str, tuple[Any, Any]]:
    """The fields in which two settings differ, by name, with both values."""
    other = to_json(two)
    pairs = ((name, old, other[part][name]) for part, values in to_json(one).items() for name, old in values.items())
    return {name: (old, new) for name, old, new in pairs if old != new}


MODELS = Path("models")


class _OfText(Settings):
    text: RunningTextConfig
    network: RecurrentConfig | TransformerConfig

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.text.paths

    @property
    def directory(self) -> Path:
        """See `Settings`."""
        name = "stdin" if self.paths[0] == "-" else Path(self.paths[0]).resolve().stem
        return MODELS / f"{name}-{self.network.short_name}"


class _OfPairs(Settings):
    text: ParallelConfig
    network: Seq2SeqConfig | TransformerSeq2SeqConfig

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.text.paths

    @property
    def directory(self) -> Path:
        """See `Settings`."""
        first, *others = ("stdin" if path == "-" else Path(path).name for path in self.paths)
        languages = "-".join(Path(name).suffix[1:] or name for name in (first, *others))
        name = f"{Path(first).stem}-{languages}" if others else Path(first).stem
        return MODELS / f"{name}-{self.network.short_name}"


@checked
@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings(_OfText):
    """All that decides a `train-lm` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-lm"
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


@checked
@dataclass(frozen=True, kw_only=True)
class TransformerTextSettings(_OfText):
    """All that decides a `train-transformer` run on text, as `training.json` keeps it."""

    command: ClassVar[str] = "train-transformer"
    unused: ClassVar[Mapping[str, str]] = NO_RECURRENCE
    text: TextConfig = field(default_factory=TextConfig)
    network: TransformerConfig = field(default_factory=TransformerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(minutes=10.0, lr=4e-3))

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {**super().idle, **_without_validation(self.text)}


@checked
@dataclass(frozen=True, kw_only=True)
class TranslationSettings(_OfPairs):
    """All that decides a `train-seq2seq` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-seq2seq"
    text: ParallelConfig = field(default_factory=ParallelConfig)
    network: Seq2SeqConfig = field(default_factory=Seq2SeqConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(minutes=30.0, batch_size=128, lr=2e-3, warmup_steps=200, ema=0.999)
    )


@checked
@dataclass(frozen=True, kw_only=True)
class TransformerPairsSettings(_OfPairs):
    """All that decides a `train-transformer` run on sentence pairs, as `training.json` keeps it."""

    command: ClassVar[str] = "train-transformer"
    unused: ClassVar[Mapping[str, str]] = NO_RECURRENCE
    text: ParallelConfig = field(default_factory=ParallelConfig)
    network: TransformerSeq2SeqConfig = field(default_factory=TransformerSeq2SeqConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(minutes=30.0, batch_size=128, lr=1.5e-3, warmup_steps=400, ema=0.999)
    )


class OfImages(Settings):
    """Settings of networks that are trained on images."""

    images: ImageConfig
    network: Any

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.images.paths

    @property
    def directory(self) -> Path:
        """See `Settings`."""
        name = Path(self.paths[0]).resolve().name.partition(".")[0]
        return MODELS / f"{name}-{self.network.short_name}"


# How a GAN is trained: Adam as Radford et al. 2016 use it, averaged weights, no clipping.
GAN_TRAINING: Mapping[str, Any] = {
    "minutes": 15.0,
    "batch_size": 64,
    "lr": 1e-3,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "beta1": 0.5,
    "beta2": 0.999,
    "clip": 0.0,
    "ema": 0.999,
}
# Fields that no GAN reads.
NO_GAN: Mapping[str, str] = {
    **NO_RECURRENCE,
    "grad_accumulation": "on a GAN, whose batch norm sees a batch as a whole",
}


def refuse_parts(train: TrainConfig) -> None:
    """Refuse to compute a step of a GAN in parts.

    Raises:
        ConfigError: that is asked for.
    """
    if train.grad_accumulation != 1:
        raise ConfigError("grad-accumulation is not for a GAN, whose batch norm sees a batch as a whole")


@checked
@dataclass(frozen=True, kw_only=True)
class GanSettings(OfImages):
    """All that decides a `gan-train` run, as `training.json` keeps it. The defaults are the preset `quick`."""

    command: ClassVar[str] = "gan-train"
    unused: ClassVar[Mapping[str, str]] = NO_GAN
    images: ImageConfig = field(default_factory=ImageConfig)
    network: GanConfig = field(default_factory=GanConfig)
    game: AdversarialConfig = field(default_factory=AdversarialConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(**GAN_TRAINING))

    def __post_init__(self) -> None:
        refuse_parts(self.train)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: labels are for the networks, and for features that know classes."""
        idle = dict(super().idle)
        if self.network.arch == "dcgan" and self.game.features == "pixels":
            idle["labels"] = "with --arch dcgan and --features pixels"
        return idle


@checked
@dataclass(frozen=True, kw_only=True)
class LapGanSettings(OfImages):
    """All that decides a `gan-train --arch lapgan` run, as `training.json` keeps it."""

    command: ClassVar[str] = "gan-train"
    always: ClassVar[tuple[str, ...]] = ("--arch", "lapgan")
    unused: ClassVar[Mapping[str, str]] = NO_GAN
    images: ImageConfig = field(default_factory=ImageConfig)
    network: LapGanConfig = field(default_factory=LapGanConfig)
    game: LapGanGameConfig = field(default_factory=LapGanGameConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(**GAN_TRAINING))

    def __post_init__(self) -> None:
        refuse_parts(self.train)
        if self.game.level > self.network.levels:
            raise ConfigError(f"level is {self.game.level}, but there are {self.network.levels}")


@checked
@dataclass(frozen=True, kw_only=True)
class FeatureSettings(OfImages):
    """All that decides a `train-features` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-features"
    unused: ClassVar[Mapping[str, str]] = NO_RECURRENCE
    images: ImageConfig = field(default_factory=ImageConfig)
    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    network: FeatureConfig = field(default_factory=FeatureConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(epochs=10.0, batch_size=128, lr=3e-3, ema=0.999, eval_every=400)
    )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {**super().idle, **({} if self.labelled.valid else {"patience": "with --valid 0"})}
