"""The machine a run meets: device, threads, number format, and signals."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import FrameType

import torch

from seqgen.config import NumberFormat, Precision
from seqgen.errors import UsageError
from seqgen.train import launch
from seqgen.train.threads import fastest_threads


def choose_device(name: str) -> torch.device:
    """The device of a run.

    Args:
        name (str): `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; `auto` takes an accelerator where there is one.

    Raises:
        UsageError: the name is none of these, or the device is not in this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return _steady(torch.device("cuda"))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    present: dict[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": lambda: (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available,
    }
    if device.type not in present:
        raise UsageError(f"device {name!r} is unknown", hint="auto, cpu, cuda, cuda:N or mps")
    if not present[device.type]():
        raise UsageError(f"device {name!r} is not in this machine", hint="--device auto takes what is there")
    return _steady(device)


def _steady(device: torch.device) -> torch.device:
    """Have CUDA's libraries take kernels that add in the same order each time; it must be said before their first use.

    PyTorch's own kernels are left as they are: a few add in any order, and have no other form.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    return device


def set_threads(threads: int, device: torch.device) -> int:
    """Use this many threads for one operation, 0 for what is fastest now.

    Returns:
        int: how many are used.
    """
    torch.set_num_threads(threads or fastest_threads(device))
    return torch.get_num_threads()


# Of glibc's malloc.h: the size from which a block comes from the system, and goes back when it is freed; how much free
# memory at the end of the heap goes back too. 32 MB is the most that the first can be.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 32 << 20), (-1, 1 << 30)


def keep_memory() -> None:
    """Let the process keep up to 1 GB that it has freed, where the C library is glibc; elsewhere nothing changes.

    A search makes tables of megabytes at every step, log-probabilities above all. glibc returns such blocks at once,
    and then the system clears each of their pages again, which takes longer than to fill them.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for parameter, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(parameter, value)


DTYPES: Mapping[NumberFormat, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The context in which losses are computed: weights, optimizer and losses are fp32, products as asked for."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


class StopRequest:
    """Turns INT, TERM and HUP into a flag that loops look at; a second INT or TERM ends the process at once.

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
