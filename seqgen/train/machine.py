"""The machine that a run meets: device, threads, memory and number format."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch

from seqgen.config import NumberFormat, Precision
from seqgen.errors import UsageError
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
