"""Features that any machine draws alike, for the figures recorded in `image_scores.json`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """Two sets of features that are positive, skewed and correlated, as those of a network are."""

    size: int
    reals: int
    fakes: int
    seed: int


CASES = {
    "more images than features": Case(size=48, reals=600, fakes=600, seed=1),
    "unequal counts": Case(size=32, reals=500, fakes=300, seed=2),
    "fewer images than features": Case(size=96, reals=60, fakes=60, seed=3),  # singular covariances
}


def draw_features(case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real and fake features; numpy promises that `RandomState` never changes what it draws."""
    draw = np.random.RandomState(case.seed)
    mixing = draw.standard_normal((case.size, case.size)) / np.sqrt(case.size)
    real = np.maximum(draw.standard_normal((case.reals, case.size)) @ mixing, 0.0)
    fake = np.maximum(draw.standard_normal((case.fakes, case.size)) @ (1.2 * mixing) + 0.1, 0.0)
    return real, fake
