"""How a network is doing that makes images of images, in words (see `seqgen.gan.health`).

Its losses tell as little as those of other GANs. These signals are measured with held-out images:

    sensitivity   mean distance of what is made of two inputs / mean distance of the two targets
    noise         mean distance of what is made of one input with other noise / the same; it may well be nothing
    likeness      correlation of what is made with what it should be like: its target, or its input without one
    distance      mean distance from the target, or of an image that went there and back from itself
    frechet       distance of what is made from targets; floor: of other targets from targets
    hidden        how much farther an image comes back from itself if a little noise is added before the way back

and from the duel accuracy, sign, image_gradient and steps, as of any GAN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqgen.gan.health import ROSE_BY, YOUNG, Diagnosis

# Where a state begins: between what healthy runs show and runs that were made to fail (tests/tasks/image_translation).
INSENSITIVE, INVERTED = 0.15, -0.2
# An image that comes back this near to itself, and so many times as far with a little noise, was hidden on the way.
RETURNS, HIDES = 0.05, 4.0


@dataclass(frozen=True)
class TranslationSignals:
    """What is measured at one evaluation; not-a-number where there is nothing to measure."""

    accuracy: float
    sign: float
    image_gradient: float
    steps: float
    sensitivity: float
    noise: float
    likeness: float
    distance: float
    frechet: float
    floor: float
    hidden: float


def diagnose_translation(history: Sequence[TranslationSignals]) -> Diagnosis:
    """The state of a run; the worst that is found counts.

    Args:
        history (Sequence[TranslationSignals]): of each evaluation, the oldest first: that before the first step, of
            which nothing is said.
    """
    if len(history) < 2 or sum(signals.steps for signals in history) < YOUNG:
        return Diagnosis("healthy")
    now, best = history[-1], min(signals.distance for signals in history)
    if now.distance > ROSE_BY * best:
        return Diagnosis("diverged", f"the distance from the targets rose from {best:.3g} to {now.distance:.3g}")
    if now.sensitivity < INSENSITIVE:
        return Diagnosis(
            "ignores its input", f"outputs differ {now.sensitivity:.2f} times as much as what should be made"
        )
    if now.likeness < INVERTED:
        return Diagnosis("inverts colours", f"light and dark are exchanged (correlation {now.likeness:.2f})")
    if now.distance < RETURNS and now.hidden > HIDES:
        found = f"with a little noise on the way images come back {now.hidden:.1f} times as far off"
        return Diagnosis("hides its input", found)
    return Diagnosis("healthy")
