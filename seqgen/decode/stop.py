"""Ending a text at a given string."""

from __future__ import annotations


class StopText:
    """Passes text on until a string appears, which is left out and ends it.

    Args:
        stop (str): the string; empty never stops.
    """

    def __init__(self, stop: str) -> None:
        self._stop = stop
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What can be passed on: a beginning of the string at the end is held back until it is decided."""
        if not self._stop or self.stopped:
            return "" if self.stopped else text
        self._held += text
        if (end := self._held.find(self._stop)) >= 0:
            self.stopped = True
            passed, self._held = self._held[:end], ""
            return passed
        longest = min(len(self._held), len(self._stop) - 1)
        hold = next((n for n in range(longest, 0, -1) if self._stop.startswith(self._held[-n:])), 0)
        passed, self._held = self._held[: len(self._held) - hold], self._held[len(self._held) - hold :]
        return passed

    def finish(self) -> str:
        """What was held back when the text ends without the string."""
        passed, self._held = self._held, ""
        return passed
