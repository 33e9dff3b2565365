"""Networks that make an image of an image: their sizes, their data, and the game that trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from seqgen.config.fields import DATA, MODEL, TRAINING, Config, same_setting, setting
from seqgen.config.images import AdversarialConfig, GanLoss, ImageConfig, ImageFormat
from seqgen.config.settings import GAN_TRAINING, NO_GAN, OfImages, checked, refuse_parts
from seqgen.config.training import TrainConfig
from seqgen.errors import ConfigError

Direction = Literal["a2b", "b2a"]
Condition = Literal["none", "edges", "sketch", "grey", "lowres"]
Patch = Literal["1", "16", "34", "70", "whole"]
ImageNorm = Literal["batch", "instance"]


MAX_HALVINGS, MAX_BLOCKS, MAX_HISTORY = 8, 64, 10_000
# The shortest side of an image that a discriminator of patches can judge.
LEAST_JUDGED: Mapping[Patch, int] = {"1": 1, "16": 6, "34": 12, "70": 24, "whole": 1}


def refuse_small(patch: Patch, side: int) -> None:
    """Refuse images that are smaller than what a discriminator judges.

    Raises:
        ConfigError: their shorter side is.
    """
    if side < (least := LEAST_JUDGED[patch]):
        raise ConfigError(
            f"patch is {patch}, which needs {least} pixels a side, not {side}", hint="try --patch 16, or 1"
        )


@dataclass(frozen=True, kw_only=True)
class PairConfig(Config):
    """Where pairs of images come from: an input, and the target that is to be made of it.

    One path holds both side by side, A | B; two paths hold A and B, paired by the names of their files or by their
    order in arrays; with a `condition` the paths hold targets, and each input is derived from its target
    (`seqgen.data.conditions`). `valid` is the share of the pairs that is held out and judged, drawn at random.
    """

    direction: Direction = setting("a2b", DATA, "a2b makes B of A, b2a makes A of B.")
    condition: Condition = setting("none", DATA, "Derive the input of each image from itself.")
    valid: float = setting(0.1, DATA, "Share of the pairs held out.", low=0, high=0.9)
    flip: bool = setting(False, DATA, "Mirror a pair at random.")
    shift: float = setting(0.05, DATA, "Move a pair at random by up to this share of a side.", low=0, high=0.5)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {} if self.condition == "none" else {"direction": f"with --condition {self.condition}"}


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(Config):
    """A U-Net that makes images of images, and a discriminator that is shown both (Isola et al. 2017).

    The image is halved `halvings` times on its way through the generator; `skips` hand each of the sizes over to the
    way back. The discriminator judges patches of `patch` x `patch` pixels, or the whole image; `see_input` shows it
    the input beside the image. `noise` is the share of values that dropout takes on the way back, in use as well.
    """

    arch: Literal["pix2pix"] = "pix2pix"
    generator_size: int = setting(32, MODEL, "Its channels.", "--generator-size", "--ngf", low=1, high=4096)
    discriminator_size: int = setting(32, MODEL, "Its channels.", "--discriminator-size", "--ndf", low=1, high=4096)
    halvings: int = setting(4, MODEL, "How often a generator halves the image.", low=1, high=MAX_HALVINGS)
    skips: bool = setting(True, MODEL, "Hand each size over to the way back.")
    patch: Patch = setting("34", MODEL, "Pixels of a side that the discriminator judges at a time.")
    see_input: bool = setting(True, MODEL, "Show the discriminator the input, too.")
    noise: float = setting(0.5, MODEL, "Dropout on the way back, the generator's noise.", low=0, high=0.9)
    norm: ImageNorm = setting("batch", MODEL, "Of each layer, over the batch or one image.")

    @property
    def short_name(self) -> str:
        """What a model is called by."""
        return self.arch


@dataclass(frozen=True, kw_only=True)
class Pix2PixNetworks(Config):
    """What the `config.json` of a pix2pix model keeps: enough to build both networks.

    `images` are those that are made; the input has `source_channels` and is of the same size. `direction` and
    `condition` say what the input was in the data that it learned from (`PairConfig`).
    """

    source_channels: int
    images: ImageFormat
    direction: Direction
    condition: Condition
    pix2pix: Pix2PixConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source_channels not in (1, 3):
            raise ConfigError(f"source_channels is {self.source_channels}, but images have 1 (grey) or 3 (colour)")
        side, config = min(self.images.height, self.images.width), self.pix2pix
        if side <= 2**config.halvings // 2:
            raise ConfigError(f"halvings is {config.halvings}, too many for a side of {side} pixels")
        refuse_small(config.patch, side)


@dataclass(frozen=True, kw_only=True)
class PairedGameConfig(AdversarialConfig):
    """The game of a pix2pix model: the generator also pays for its distance from the target.

    With `adversarial` 0 only that distance counts, with `l1` 0 only the discriminator.
    """

    l1: float = setting(100.0, TRAINING, "Weight of the mean distance from the target.", low=0, high=1e6)
    adversarial: float = setting(1.0, TRAINING, "Weight of what the discriminator says.", low=0, high=1e6)
    features: str = same_setting(AdversarialConfig, "features", "texture")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.l1 + self.adversarial:
            raise ConfigError("l1 and adversarial are 0: the generator would have nothing to learn from")
        if self.augment != "none":
            raise ConfigError("augment is not for pairs", hint="--flip and --shift move both images of a pair alike")

    @property
    def discriminator_pace(self) -> float:
        """See `AdversarialConfig`: nobody asks a discriminator whose word has no weight."""
        return self.lr_ratio if self.adversarial else 0.0


@checked
@dataclass(frozen=True, kw_only=True)
class PairedSettings(OfImages):
    """All that decides a `gan-train --arch pix2pix` run, as `training.json` keeps it."""

    command: ClassVar[str] = "gan-train"
    always: ClassVar[tuple[str, ...]] = ("--arch", "pix2pix")
    unused: ClassVar[Mapping[str, str]] = {
        **NO_GAN,
        "augment": "on pairs, which --flip and --shift move alike",
        "labels": "on pairs, which have no labels",
    }
    images: ImageConfig = field(default_factory=ImageConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    network: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    game: PairedGameConfig = field(default_factory=PairedGameConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(**{**GAN_TRAINING, "batch_size": 16, "lr": 5e-4}))

    def __post_init__(self) -> None:
        refuse_parts(self.train)
        if len(self.images.paths) > 2 and self.pairs.condition == "none":
            raise ConfigError(
                f"pairs lie side by side in one path, or in two, not in {len(self.images.paths)}",
                hint="--condition edges makes the input of each image from itself",
            )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = dict(super().idle)
        if not self.pairs.valid:
            idle |= dict.fromkeys(("patience", "features"), "with --valid 0")
        if not self.game.adversarial:
            unheard = ("loss", "r1", "r2", "gradient_penalty", "lr_ratio", "discriminator_steps")
            idle |= dict.fromkeys(unheard, "with --adversarial 0")
        return idle


# Without pairs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DomainsConfig(Config):
    """How the images of two domains are learned from, which are not paired: the first path is A, the second B.

    `valid` is the share of the images of each that is held out and judged, drawn at random.
    """

    valid: float = same_setting(PairConfig, "valid", 0.1)
    flip: bool = setting(False, DATA, "Mirror images at random.")
    shift: float = setting(0.0, DATA, "Move images at random by up to this share of a side.", low=0, high=0.5)


@dataclass(frozen=True, kw_only=True)
class CycleGanConfig(Config):
    """Two generators, from A to B and back, and a discriminator for each domain (Zhu et al. 2017).

    A generator halves the image `halvings` times, changes it by `blocks` residual blocks, and doubles it as often. The
    less it halves small images, the less it can change what they show.
    """

    arch: Literal["cyclegan"] = "cyclegan"
    generator_size: int = same_setting(Pix2PixConfig, "generator_size", 24)
    discriminator_size: int = same_setting(Pix2PixConfig, "discriminator_size", 24)
    halvings: int = same_setting(Pix2PixConfig, "halvings", 2)
    blocks: int = setting(4, MODEL, "Residual blocks of a generator.", low=0, high=MAX_BLOCKS)
    patch: Patch = same_setting(Pix2PixConfig, "patch", "34")

    @property
    def short_name(self) -> str:
        """What a model is called by."""
        return self.arch


@dataclass(frozen=True, kw_only=True)
class CycleGanNetworks(Config):
    """What the `config.json` of a CycleGAN keeps: enough to build its four networks."""

    images_a: ImageFormat
    images_b: ImageFormat
    cyclegan: CycleGanConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = [(images.height, images.width) for images in (self.images_a, self.images_b)]
        if sizes[0] != sizes[1]:
            raise ConfigError("the images of both domains are of one size")
        refuse_small(self.cyclegan.patch, min(sizes[0]))
        if min(sizes[0]) < 2 ** (self.cyclegan.halvings + 1):
            raise ConfigError(f"halvings is {self.cyclegan.halvings}, too many for a side of {min(sizes[0])} pixels")


@dataclass(frozen=True, kw_only=True)
class CycleGameConfig(AdversarialConfig):
    """The game of a CycleGAN: an image that goes there and back pays for its distance from itself.

    `cycle` weighs that distance, `identity` that of an image from what a generator makes of it that leads to its own
    domain, as a share of `cycle`. Discriminators learn from the last `history` fakes as well.
    """

    loss: GanLoss = same_setting(AdversarialConfig, "loss", "least-squares")
    cycle: float = setting(
        10.0, TRAINING, "Weight of the distance of images that went there and back.", low=0, high=1e6
    )
    identity: float = setting(0.0, TRAINING, "Weight of staying as it is in its own domain.", low=0, high=1e6)
    history: int = setting(50, TRAINING, "Older fakes that discriminators are shown, too.", low=0, high=MAX_HISTORY)
    features: str = same_setting(PairedGameConfig, "features", "texture")


@checked
@dataclass(frozen=True, kw_only=True)
class UnpairedSettings(OfImages):
    """All that decides a `gan-train --arch cyclegan` run, as `training.json` keeps it."""

    command: ClassVar[str] = "gan-train"
    always: ClassVar[tuple[str, ...]] = ("--arch", "cyclegan")
    unused: ClassVar[Mapping[str, str]] = {**NO_GAN, "labels": "on two domains, of which labels are found by name"}
    images: ImageConfig = field(default_factory=ImageConfig)
    domains: DomainsConfig = field(default_factory=DomainsConfig)
    network: CycleGanConfig = field(default_factory=CycleGanConfig)
    game: CycleGameConfig = field(default_factory=CycleGameConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(**{**GAN_TRAINING, "batch_size": 8, "lr": 4e-4}))

    def __post_init__(self) -> None:
        refuse_parts(self.train)
        if self.images.paths and len(self.images.paths) != 2:
            raise ConfigError(
                f"a CycleGAN learns from two domains, not from {len(self.images.paths)}",
                hint="seqgen gan-train --arch cyclegan A B",
            )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        unjudged = dict.fromkeys(("patience", "features"), "with --valid 0")
        return {**super().idle, **({} if self.domains.valid else unjudged)}
