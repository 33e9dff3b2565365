"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import Config, within
from seqgen.errors import ConfigError

Schedule = Literal["cosine", "linear", "constant"]
NumberFormat = Literal["fp32", "bf16"]
Precision = Literal["auto", "fp32", "bf16"]
Weights = Literal["fp32", "fp16"]

# Steps back that a gradient is followed at least: a line through fewer points would mean little.
LEAST_DISTANCE = 8
# Runs of this length and more validate as usual.
FULL_VALIDATION_MINUTES = 10.0


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """The training loop: for how long, how fast, and what it keeps.

    Exactly one of `steps`, `epochs` and `minutes` bounds the run. `batch_size` counts the examples of one
    optimizer step whatever `grad_accumulation` is: the latter computes the same step in that many parts, in
    less memory. `decay_recurrent` lets weight decay pull at recurrent matrices too. `precision` is that of the
    matrix products in training, `auto` the faster one, which is measured; `weights` that of the published model.
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
    decay_recurrent: bool = False
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
        within(self, budgets[0], 0, 2**40)
        within(self, "seed", 0, 2**63 - 1)
        within(self, "batch_size", 1, 2**20)
        within(self, "grad_accumulation", 1, self.batch_size)
        within(self, "lr", 0.0, 1e3)
        within(self, "warmup_steps", 0, 2**40)
        within(self, "weight_decay", 0.0, 1e3)
        within(self, "beta1", 0.0, 0.999_999)
        within(self, "beta2", 0.0, 0.999_999)
        within(self, "clip", 0.0, math.inf)
        within(self, "ema", 0.0, 0.999_999)
        for name in ("eval_every", "save_every", "log_every"):
            within(self, name, 1, 2**40)
        within(self, "patience", 0, 2**40)
        within(self, "threads", 0, 4096)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        return {} if self.weight_decay else {"decay_recurrent": "with --weight-decay 0"}

    @property
    def validation_share(self) -> float:
        """The share of a usual validation that one in training takes: less where the whole run is short."""
        return 1.0 if self.minutes is None else min(1.0, self.minutes / FULL_VALIDATION_MINUTES)


@dataclass(frozen=True, kw_only=True)
class WatchConfig(Config):
    """What a run looks at now and then.

    `watch_gradients` counts the steps between two looks at the gradient through time (0: none).
    """

    watch_gradients: int = 0

    def __post_init__(self) -> None:
        within(self, "watch_gradients", 0, 2**40)
