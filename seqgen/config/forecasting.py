"""Series of numbers, and the networks that forecast them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from seqgen.config.fields import DATA, MAX_LAYERS, MAX_SIZE, MODEL, Config, ranged, setting
from seqgen.config.networks import MOST_DROPPED, RecurrentCell
from seqgen.config.settings import MODELS, Settings, checked
from seqgen.config.training import TrainConfig
from seqgen.errors import ConfigError

Gaps = Literal["mask", "ignore", "error"]
Response = Literal["finite", "infinite"]
FittedDifference = Literal["none", "last", "season", "trend"]
Difference = Literal["auto", FittedDifference]
AutoFlag = Literal["auto", "yes", "no"]
Scale = Literal["auto", "train", "window"]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""The quantiles that are forecast; the one in the middle is the forecast itself."""
MAX_ORDER, MAX_HORIZON = 4096, 1024


@dataclass(frozen=True, kw_only=True)
class SeriesConfig(Config):
    """Where a table of series is, and which of its columns are what.

    The rows are cut in time: the last `test` are kept from all that is learned or chosen, to measure by; the `valid`
    before them choose what is best and widen the band. Both are fractions of the rows.
    """

    paths: tuple[str, ...] = ()
    columns: tuple[str, ...] = setting((), DATA, "Column to forecast; may be repeated.", "--column", metavar="NAME")
    extra: tuple[str, ...] = setting(
        (), DATA, "Column that is read as well; may be repeated.", "--with", metavar="NAME"
    )
    time_column: str = setting("", DATA, "Column of dates; else the first that has some.", metavar="NAME")
    group: str = setting("", DATA, "Column that tells several series apart.", metavar="NAME")
    gaps: Gaps = setting("mask", DATA, "Dates without a row: missing values, or as if there were no such dates.")
    valid: float = setting(0.15, DATA, "Share of the rows to choose and to calibrate by.", low=0.01, high=0.5)
    test: float = setting(0.15, DATA, "Share of the rows, the last, to measure by; 0: none.", low=0, high=0.5)


@dataclass(frozen=True, kw_only=True)
class TransformConfig(Config):
    """What is done to a series before a network reads it; `auto` is chosen on the validation rows."""

    difference: Difference = setting(
        "auto", DATA, "What values are taken relative to: the last, a season ago, or that plus its trend."
    )
    log: AutoFlag = setting("auto", DATA, "Whether logarithms are forecast.")
    season: str = setting("auto", DATA, "Steps after which things come again; 0: none.", metavar="N|auto")
    minimum: str = setting("auto", DATA, "No forecast is smaller; auto: 0 if no value is; none.", metavar="N|auto|none")
    scale: Scale = setting("auto", DATA, "Size of a step: of the training rows, or of the window.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.season != "auto" and not 0 <= self.period <= MAX_ORDER:
            raise ConfigError(f"season is {self.season}, but a number of steps from 0 to {MAX_ORDER}, or auto")
        if self.minimum not in ("auto", "none"):
            try:
                _ = self.floor
            except ValueError:
                raise ConfigError(f"minimum is {self.minimum!r}, but a number, auto or none") from None

    @property
    def floor(self) -> float | None:
        """The smallest value that is forecast; None if it is chosen, or there is none."""
        return None if self.minimum in ("auto", "none") else float(self.minimum)

    @property
    def period(self) -> float:
        """The season in steps; -1 if it is none."""
        try:
            return float(self.season)
        except ValueError:
            return -1.0


@dataclass(frozen=True, kw_only=True)
class ForecasterConfig(Config):
    """A network that reads the past of a series and gives quantiles of its next `horizon` values, all at once.

    finite: `y(t + h) = f(y(t), ..., y(t - N + 1))`, a network of dense layers over the last N = `order` values.
    infinite: the state of a recurrent network, which is a function of all values before. Both stand beside a linear
    function of the last `order` values, which is fitted by least squares before the training begins.
    """

    response: Response = setting("finite", MODEL, "Read the last --order values, or all by a recurrent network.")
    order: int = setting(0, MODEL, "Values that are read at once; 0: chosen.", low=0, high=MAX_ORDER)
    horizon: int = setting(12, MODEL, "Steps ahead that are forecast at once.", low=1, high=MAX_HORIZON)
    cell: RecurrentCell = setting("gru", MODEL, "The recurrent cell of --response infinite.")
    hidden_size: int = setting(32, MODEL, "Size of a layer.", low=1, high=MAX_SIZE)
    num_layers: int = setting(1, MODEL, "Layers.", "--layers", low=1, high=MAX_LAYERS)
    dropout: float = setting(0.2, MODEL, "Share of values dropped after each layer.", low=0, high=MOST_DROPPED)
    linear: bool = setting(True, MODEL, "A linear function of the last values beside the network.")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {} if self.response == "infinite" else {"cell": "with --response finite"}


@dataclass(frozen=True, kw_only=True)
class FittedTransform(Config):
    """What was chosen, and fitted on the training rows.

    Args:
        difference (str): see `TransformConfig`.
        log (bool): whether logarithms are forecast.
        period (float): the season in steps, 0 without one.
        window (bool): whether the size of a step is that of the window.
        order (int): values that are read at once.
        ridge (float): how much the linear function is drawn to zero.
    """

    difference: FittedDifference = "last"
    log: bool = False
    period: float = ranged(0.0, low=0, high=MAX_ORDER)
    window: bool = False
    order: int = ranged(12, low=1, high=MAX_ORDER)
    ridge: float = ranged(1e-3, low=0, high=1e6)

    @property
    def lag(self) -> int:
        """The season in whole steps, 1 without one."""
        return max(1, round(self.period))


@dataclass(frozen=True, kw_only=True)
class ForecasterModelConfig(Config):
    """All that `config.json` says of a forecaster.

    `inputs` counts the other inputs; `scales` and `centres` are those of the training rows, by series and then, of
    inputs, by input; `widening` moves each quantile but the median outward, by step and by level. No
    forecast is below `floor`.
    """

    network: ForecasterConfig
    transform: FittedTransform
    series: tuple[str, ...]
    inputs: int = ranged(0, low=0, high=1000)
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    input_centres: tuple[float, ...] = ()
    input_scales: tuple[float, ...] = ()
    widening: tuple[float, ...] = ()
    floor: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.series)
        if not count or any(len(values) != count for values in (self.centres, self.scales, self.offsets)):
            raise ConfigError("series, centres, scales and offsets are not equally many")
        if any(len(values) != self.inputs for values in (self.input_centres, self.input_scales)):
            raise ConfigError("the sizes of other inputs are not as many as these")
        if len(self.widening) not in (0, self.network.horizon * (len(LEVELS) - 1)):
            raise ConfigError("widening has not one number for each step and quantile but the median")
        for value in (*self.scales, *self.input_scales):
            if not 0 < value < 1e300:
                raise ConfigError("a scale is not positive")


@checked
@dataclass(frozen=True, kw_only=True)
class ForecasterSettings(Settings):
    """All that decides a `train-forecaster` run, as `training.json` keeps it."""

    command: ClassVar[str] = "train-forecaster"
    series: SeriesConfig = field(default_factory=SeriesConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    network: ForecasterConfig = field(default_factory=ForecasterConfig)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=1000,
            batch_size=64,
            lr=2e-3,
            warmup_steps=50,
            weight_decay=0.05,
            ema=0.99,
            eval_every=50,
            save_every=250,
            patience=6,
        )
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the data are."""
        return self.series.paths

    @property
    def directory(self) -> Path:
        """See `Settings`."""
        name = "stdin" if self.paths[0] == "-" else Path(self.paths[0]).resolve().stem
        return MODELS / f"{name}-{self.network.response}"

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = dict(super().idle)
        if self.network.response == "finite":
            idle["decay_recurrent"] = "with --response finite"
        return idle
