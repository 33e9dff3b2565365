"""How a GAN is doing, in words: from what is measured at an evaluation to a state and what to try.

The losses do not tell: both networks are judged by an opponent that moves. These signals do:

    accuracy          how often the discriminator is right, over the steps since the last evaluation
    sign              E[sign D(real)], the measure of overfitting of Karras et al. 2020, section 3
    image_gradient    norm of the generator's gradient at its images: what the discriminator tells it
    spread            mean distance between two fakes / between two reals
    precision         share of fakes that look real; recall: share of reals that the fakes reach (Kynkaanniemi 2019)
    different_bins    share of clusters of real images that are filled differently (NDB, Richardson and Weiss 2018)
    missing           share of the classes that a classifier does not see among the fakes
    frechet, floor    distance of fakes, and of as many other reals, from reals (the training images)
    closeness         distance of fakes to the nearest training image / of training images to each other
    change            how far the same latents moved since the last evaluation / distance between two reals
    steps             of the discriminator since the last evaluation

Whether a run moves is a question of steps, not of evaluations. How far the distance should fall depends on how many
steps lie between, and evaluations that lie close together, as the last of a budget may, are judged as one: what happens
in four steps says nothing.

Losses with no fixed zero (`wasserstein-gp`, `relativistic`) have a critic, who is meant to tell every pair apart, and
whose slope is held by penalties: pass an accuracy of not-a-number.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

State = Literal[
    "healthy",
    "memorising",
    "collapsing",
    "inverts colours",
    "hides its input",
    "discriminator overpowers",
    "ignores its input",
    "collapsed",
    "generator vanishing",
    "diverged",
]

S = TypeVar("S")

# From the best to the worst.
STATES: tuple[State, ...] = get_args(State)

# Where a state begins. Chosen between what healthy runs on digits, letters and photographs show and what runs show that
# were made to fail (tests/tasks/test_gan_failures.py).
WINS, OVERPOWERS, ALWAYS_WINS = 0.97, 0.985, 0.99
MOVES_NOTHING, FADES_TO, LEARNED_NOTHING = 2e-3, 1e-2, 0.9
NARROW, TINY = 0.5, 0.2
LOOKS_REAL, REACHES_LITTLE, REACHES_NOTHING = 0.4, 0.12, 0.02
FELL_BY, ROSE_BY = 0.4, 4.0
COPIES = 0.5
ABSENT = 0.34
# A run whose Frechet distance falls to this share from one evaluation to the next is learning, not collapsing.
LEARNS = 0.5
# One where a larger share is left after STRIDE steps or more stands still, and in proportion after fewer. So far above
# the floor it has then left out a part of what is real.
STANDS, STRIDE, FAR = 0.95, 500.0, 40.0
# Evaluations are joined until they span so many steps, and this share of the steps between the farthest two.
SPAN, SHARE = 100.0, 0.5
# Samples of the first steps are grey or blurred, all alike and near to much that is real: they have not collapsed yet.
YOUNG = 200

# Stands for not-a-number in a checkpoint.
UNKNOWN = -1e9

ADVICE: dict[State, str] = {
    "healthy": "",
    "discriminator overpowers": "a lower --lr-ratio, a smaller --discriminator-size, --augment all, or --r1 0.1",
    "generator vanishing": "--loss non-saturating if it is minimax, a lower --lr-ratio, or --preset spectral",
    "collapsing": "--r1 0.1, a lower --lr, or another --preset; --on-collapse rollback goes back by itself",
    "collapsed": "--r1 0.1, a lower --lr, another --preset, a larger --latent-size; or --on-collapse rollback",
    "diverged": "a lower --lr, or --r1 0.1 --r2 0.1",
    "memorising": "more images, --augment all, or fewer steps",
    "ignores its input": "--l1 100 and --see-input with pairs; without them a larger --cycle, or a lower --lr-ratio",
    "inverts colours": "--l1 100 with pairs; without them --identity 0.5, or another --seed",
    "hides its input": "a smaller --cycle, or --identity 0.5",
}


@dataclass(frozen=True)
class Signals:
    """What is measured at one evaluation; see above."""

    accuracy: float
    sign: float
    image_gradient: float
    spread: float
    precision: float
    recall: float
    different_bins: float
    missing: float
    frechet: float
    floor: float
    closeness: float
    change: float
    steps: float


@dataclass(frozen=True)
class Diagnosis:
    """A state, what was found, and what to try."""

    state: State
    found: str = ""

    @property
    def advice(self) -> str:
        """What to try; nothing if all is well."""
        return ADVICE[self.state]

    @property
    def hopeless(self) -> bool:
        """Whether going on makes no sense."""
        return self.state in ("collapsed", "diverged")

    def __str__(self) -> str:
        return f"{self.state}: {self.found}; try {self.advice}" if self.found else self.state


def worst(found: Iterable[Diagnosis]) -> Diagnosis:
    """That of several diagnoses which counts."""
    return max(found, key=lambda diagnosis: STATES.index(diagnosis.state))


def packed(history: Sequence[Any], kind: type[Any]) -> Tensor:
    """Signals as numbers `(evaluations, signals)`, for a checkpoint, which holds finite ones only."""
    numbers = [dataclasses.astuple(signals) for signals in history]
    rows = torch.tensor(numbers, dtype=torch.float64).reshape(-1, len(dataclasses.fields(kind)))
    return torch.nan_to_num(rows, nan=UNKNOWN)


def unpacked(rows: Tensor, kind: type[S]) -> list[S]:
    """What `packed` was given."""
    return [kind(*(math.nan if value == UNKNOWN else value for value in row)) for row in rows.tolist()]


def diagnose(history: Sequence[Signals]) -> Diagnosis:
    """The state of a run; the worst that is found counts.

    Args:
        history (Sequence[Signals]): of each evaluation, the oldest first: that before the first step, of which nothing
            is said.
    """
    if len(history) < 2:
        return Diagnosis("healthy")
    history = _spaced(history)
    young = sum(signals.steps for signals in history) < YOUNG
    learns = history[-1].frechet < LEARNS * history[-2].frechet
    checks = (_diverged, _vanishing) if learns else (_diverged, _vanishing, _overpowered) if young else _ALL
    return next((found for check in checks if (found := check(history))), Diagnosis("healthy"))


def _spaced(history: Sequence[Signals]) -> list[Signals]:
    """The evaluations, those that lie close together joined, from the last one back; the first is before all steps."""
    enough = max(SPAN, SHARE * max(signals.steps for signals in history))
    spaced = [history[-1]]
    for signals in reversed(history[1:-1]):
        if spaced[-1].steps < enough:
            spaced[-1] = _joined(signals, spaced[-1])
        else:
            spaced.append(signals)
    return [history[0], *reversed(spaced)]


def _joined(one: Signals, next_one: Signals) -> Signals:
    """Two evaluations as one: what was watched is the mean over all steps, what was measured is the later measure."""
    steps = one.steps + next_one.steps
    stepped = [signals for signals in (one, next_one) if signals.steps]
    means = {
        name: sum(getattr(signals, name) * signals.steps for signals in stepped) / steps if steps else math.nan
        for name in ("accuracy", "sign", "image_gradient")
    }
    return dataclasses.replace(next_one, **means, change=one.change + next_one.change, steps=steps)


def _diverged(history: Sequence[Signals]) -> Diagnosis | None:
    now, best = history[-1], min(signals.frechet for signals in history)
    if now.frechet > ROSE_BY * best and now.precision < FELL_BY * max(s.precision for s in history):
        return Diagnosis("diverged", f"the Fréchet distance rose from {best:.3g} to {now.frechet:.3g}")
    return None


def _collapsed(history: Sequence[Signals]) -> Diagnosis | None:
    now = history[-1]
    if now.spread < TINY:
        return Diagnosis("collapsed", f"all samples are nearly alike (spread {now.spread:.2f} of the real one)")
    if _absent(history, ABSENT):
        return Diagnosis("collapsed", f"{now.missing:.0%} of the classes are missing")
    if _narrow(history, REACHES_NOTHING):
        return Diagnosis("collapsed", f"samples look real but reach {now.recall:.1%} of what is real")
    return None


def _absent(history: Sequence[Signals], share: float) -> bool:
    """More than that share of the classes is missing, and not for the samples being shapeless yet."""
    now = history[-1]
    return now.missing > share and now.precision > LOOKS_REAL


def _narrow(history: Sequence[Signals], reached: float) -> bool:
    """Samples look real, reach less than that share of what is real, and stand still: blurred ones look real too."""
    now = history[-1]
    return now.precision > LOOKS_REAL and now.recall < reached and _stands(history)


def _stands(history: Sequence[Signals]) -> bool:
    """The Fréchet distance fell by less than it should have, reckoned for the steps since then."""
    now, before = history[-1], history[-2]
    return bool(now.frechet > STANDS ** min(1.0, now.steps / STRIDE) * before.frechet)


def _vanishing(history: Sequence[Signals]) -> Diagnosis | None:
    now = history[-1]
    if not now.accuracy > WINS:
        return None
    if now.change < MOVES_NOTHING:
        return Diagnosis("generator vanishing", "its images no longer change")
    if now.frechet > LEARNED_NOTHING * history[0].frechet:
        return Diagnosis("generator vanishing", "its images are as far from real ones as before the first step")
    before = history[1].image_gradient
    if now.image_gradient < FADES_TO * before:
        return Diagnosis("generator vanishing", f"its gradient fell from {before:.2g} to {now.image_gradient:.2g}")
    return None


def _overpowered(history: Sequence[Signals]) -> Diagnosis | None:
    """It wins and the generator stands still; in healthy runs it may be right 98 times in 100 while that learns."""
    now = history[-1]
    if now.accuracy > (OVERPOWERS if _stands(history) else ALWAYS_WINS):
        return Diagnosis("discriminator overpowers", f"it is right {now.accuracy:.1%} of the time")
    return None


def _collapsing(history: Sequence[Signals]) -> Diagnosis | None:
    now = history[-1]
    if now.spread < NARROW:
        return Diagnosis("collapsing", f"samples are too alike (spread {now.spread:.2f} of the real one)")
    if _absent(history, 0):
        return Diagnosis("collapsing", f"{now.missing:.0%} of the classes are missing")
    if _narrow(history, REACHES_LITTLE):
        return Diagnosis("collapsing", f"samples look real but reach only {now.recall:.0%} of what is real")
    # An untrained network is nothing to stand still at: the first steps may be slow, and go astray.
    if len(history) > 2 and _stands(history) and now.frechet > FAR * now.floor:
        times = now.frechet / max(now.floor, 1e-12)
        return Diagnosis("collapsing", f"the Fréchet distance stands still at {times:.0f} times its floor")
    best = max(history, key=lambda signals: signals.recall)
    if now.recall < FELL_BY * best.recall and now.precision >= best.precision:
        return Diagnosis("collapsing", f"recall fell from {best.recall:.2f} to {now.recall:.2f}")
    return None


def _memorising(history: Sequence[Signals]) -> Diagnosis | None:
    now = history[-1]
    if now.closeness < COPIES:
        return Diagnosis("memorising", f"samples are {now.closeness:.2f} times as far from training images as these")
    return None


_ALL = (_diverged, _vanishing, _collapsed, _overpowered, _collapsing, _memorising)
