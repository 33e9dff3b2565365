"""Which of many things stand for all of them: a bounded number, evenly spread, and always the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of `count` positions, in order, from the first on at even distances; all if they are few."""
    kept = min(count, most)
    return np.arange(kept, dtype=np.int64) * count // max(1, kept)
