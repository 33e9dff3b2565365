"""Networks to be filled from a file: built with shapes only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _Undrawn(TorchFunctionMode):
    """Leaves out what sets first values.

    On the meta device there is nothing to set, yet PyTorch (2.13) imports its compiler for a normal distribution there,
    which takes as long as all else that a command does before its first output.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules built in this context have shapes, but neither memory nor values: load them with `assign=True`."""
    with torch.device("meta"), _Undrawn():
        yield
