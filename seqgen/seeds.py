"""Randomness without state: every draw is a function of the seed, its purpose and its position.

A run that keeps one random generator must save it, restore it, and make sure that nothing else ever draws from
it. Here each training step, each epoch's order and each sampled stream gets a seed of its own, derived from the
run's seed and the place where it is used. A resumed run then draws the same numbers as an uninterrupted one
because it is at the same step, not because somebody saved a generator.
"""

from __future__ import annotations

import hashlib
import secrets


def derive(seed: int, *path: str | int) -> int:
    """The seed of one place in a run.

    Args:
        seed (int): the run's seed.
        *path (str | int): where it is used, such as `"step", 120` or `"stream", 3`.

    Returns:
        int: 63 bits of BLAKE2b over the seed and the path; neighbours are unrelated.
    """
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def fresh() -> int:
    """A new seed from the operating system, short enough to type again."""
    return secrets.randbelow(2**31)
