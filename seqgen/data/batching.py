"""Things that come one by one, some at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

from seqgen.errors import SeqgenError

T = TypeVar("T")


def in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many things, the last one shorter; what comes before one that cannot be read is given first.

    A batch is given before the next thing is asked for.

    Args:
        things (Iterable[T]): read as far as is needed.
        size (int): of a batch.

    Raises:
        SeqgenError: that of the things.
    """
    remaining = iter(things)
    while True:
        batch: list[T] = []
        fault: SeqgenError | None = None
        try:
            batch.extend(itertools.islice(remaining, size))
        except SeqgenError as error:
            fault = error
        if batch:
            yield batch
        if fault is not None:
            raise fault
        if not batch:
            return
