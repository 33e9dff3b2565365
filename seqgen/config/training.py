"""The training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import MACHINE, SAVING, TRAINING, Config, setting
from seqgen.errors import ConfigError

Schedule = Literal["cosine", "linear", "constant"]
NumberFormat = Literal["fp32", "bf16"]
Precision = Literal["auto", "fp32", "bf16"]
Weights = Literal["fp32", "fp16"]

# Steps back that a gradient is followed at least: a line through fewer points would mean little.
LEAST_DISTANCE = 8
# Runs of this length and more validate as usual.
FULL_VALIDATION_MINUTES = 10.0
# Steps, and what is counted in them.
MOST_STEPS = 2**40
# An average or a memory of this decay never moves.
MOST_DECAY = 0.999_999

BUDGETS = ("steps", "epochs", "minutes")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """The training loop: for how long, how fast, and what it keeps.

    Exactly one of `steps`, `epochs` and `minutes` bounds the run. `batch_size` counts the examples of one
    optimizer step whatever `grad_accumulation` is: the latter computes the same step in that many parts, in
    less memory. `precision` is that of the matrix products in training, `auto` the faster one, which is measured;
    `weights` that of the published model.
    """

    steps: int | None = setting(None, TRAINING, "Train for this many steps.", low=0, high=MOST_STEPS)
    epochs: float | None = setting(None, TRAINING, "Train for this many epochs.", low=0, high=MOST_STEPS)
    minutes: float | None = setting(
        None, TRAINING, "Train for this long; the length in steps is measured.", low=0, high=MOST_STEPS
    )
    batch_size: int = setting(32, TRAINING, "Lanes of text, pairs or images per step.", low=1, high=2**20)
    grad_accumulation: int = setting(1, TRAINING, "Compute each step in this many parts, in less memory.")
    lr: float = setting(6e-3, TRAINING, "Peak learning rate.", low=0, high=1e3)
    schedule: Schedule = setting("cosine", TRAINING, "How the learning rate falls.")
    warmup_steps: int = setting(
        100, TRAINING, "Steps in which the learning rate rises.", "--warmup", low=0, high=MOST_STEPS
    )
    weight_decay: float = setting(0.01, TRAINING, "AdamW decay; recurrent matrices are spared.", low=0, high=1e3)
    decay_recurrent: bool = setting(False, TRAINING, "Decay recurrent matrices too: memory fades.")
    beta1: float = setting(0.9, TRAINING, "Adam's memory of gradients.", low=0, high=MOST_DECAY)
    beta2: float = setting(0.99, TRAINING, "Adam's memory of their squares.", low=0, high=MOST_DECAY)
    clip: float = setting(1.0, TRAINING, "Largest global gradient norm; 0: no clipping.", low=0)
    ema: float = setting(0.998, TRAINING, "Decay of the averaged weights; 0: none.", low=0, high=MOST_DECAY)
    eval_every: int = setting(500, TRAINING, "Steps between validations.", low=1, high=MOST_STEPS)
    patience: int = setting(
        0, TRAINING, "Stop after this many validations without a better one; 0: never.", low=0, high=MOST_STEPS
    )
    seed: int = setting(0, TRAINING, "Same seed, same run.", low=0, high=2**63 - 1)
    save_every: int = setting(500, SAVING, "Steps between checkpoints.", low=1, high=MOST_STEPS)
    log_every: int = setting(10, SAVING, "Steps between lines of metrics.jsonl.", low=1, high=MOST_STEPS)
    weights: Weights = setting("fp32", SAVING, "Number format of the finished model.")
    precision: Precision = setting("auto", MACHINE, "Of products; auto: bf16 if it is measured to be faster.")
    device: str = setting("auto", MACHINE, "auto, cpu, cuda, cuda:N or mps.", variable="SEQGEN_DEVICE")
    threads: int = setting(0, MACHINE, "Threads; 0: what is fastest now.", low=0, high=4096, variable="SEQGEN_THREADS")

    def __post_init__(self) -> None:
        budgets = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(budgets) != 1:
            said = " and ".join(budgets) or "none of them"
            raise ConfigError(f"one of steps, epochs and minutes bounds a run, not {said}")
        super().__post_init__()
        self.within("grad_accumulation", 1, self.batch_size)

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
    """What a run measures of itself now and then."""

    watch_gradients: int = setting(
        0,
        SAVING,
        "Steps between looks at the gradient through time; each takes less time than a step; 0: none.",
        low=0,
        high=MOST_STEPS,
    )
