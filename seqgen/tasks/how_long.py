"""How long a judgement that cannot be cut short will take: said once, when it is worth saying."""

from __future__ import annotations

import time
from collections.abc import Callable

# After so much work the rest can be told; a rest that is shorter is not worth a word.
LISTEN_SECONDS, WORTH_SECONDS = 1.0, 5.0


class HowLong:
    """Told of progress, it says how long the rest will take.

    Args:
        note (Callable[[str], None]): told once.
        total (int): the work, in whatever is counted.
    """

    def __init__(self, note: Callable[[str], None], total: int) -> None:
        self._note, self._total = note, total
        self._done, self._begin, self._said = 0, time.perf_counter(), False

    def __call__(self, done: int) -> None:
        """So much more was done."""
        self._done += done
        seconds = time.perf_counter() - self._begin
        if self._said or seconds < LISTEN_SECONDS or not self._done:
            return
        self._said = True
        left = (self._total - self._done) * seconds / self._done
        if left >= WORTH_SECONDS:
            length = f"{left:.0f} seconds" if left < 100 else f"{left / 60:.0f} minutes"
            self._note(f"about {length} more; Ctrl-C stops, and --resume finishes it later")
