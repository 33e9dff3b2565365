"""What a model has never seen, gathered over a run and told once."""

from __future__ import annotations

from collections.abc import Iterable

NAMED = 5


class Unseen:
    """Words or characters that a vocabulary does not have (`Tokenizer.unseen`): how many, and the first few.

    Memory does not grow with the text: only those that will be named are kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self._named: dict[str, None] = {}
        self._more = False

    def add(self, parts: Iterable[str]) -> None:
        """Count some, with repeats."""
        for part in parts:
            self.count += 1
            if part not in self._named:
                if len(self._named) < NAMED:
                    self._named[part] = None
                else:
                    self._more = True

    def __str__(self) -> str:
        names = ", ".join(map(repr, self._named)) + (" and others" if self._more else "")
        often = f", {self.count} times in all" if self.count > len(self._named) else ""
        return f"the model has never seen {names}{often}"
