"""Signals: a request to stop, which a run hears between steps."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from seqgen.train import launch


class StopRequest:
    """Turns INT, TERM and HUP into a flag that loops check; a second INT or TERM ends the process at once.

    HUP comes when the terminal goes, from the system and from the shell alike: twice, and yet nobody is impatient.
    Where it is ignored, as under `nohup`, it stays ignored.

    Args:
        notify (Callable[[str], None]): told at once that the signal was heard.
        leave (Callable[[], None]): called before the process ends at once, for there is no other clean-up then.
    """

    def __init__(self, notify: Callable[[str], None], leave: Callable[[], None] = lambda: None) -> None:
        self.signal: signal.Signals | None = None
        self._notify, self._leave = notify, leave
        self._asked = False
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            # Installed even where a shell has set INT to be ignored, as it does for background jobs.
            ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            for number in (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,))):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether to stop: a signal came, or nobody is left who would hand one on."""
        if self.signal is None and launch.abandoned():
            self.signal = signal.SIGTERM
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """130 after INT, 143 after TERM, 129 after HUP."""
        return 128 + (self.signal or signal.SIGINT)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._asked and number != signal.SIGHUP:
            self._leave()
            os._exit(128 + number)
        self._asked |= number != signal.SIGHUP
        if self.signal is None:
            self.signal = signal.Signals(number)
            self._notify("finishing this step, then saving; once more to stop at once")
