"""Which examples each step reads: an order for each epoch, a function of the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from seqgen.seeds import derive

Indices = NDArray[np.int64]


class Epochs:
    """The batches of all steps; those of an epoch are planned when its first step comes.

    Args:
        steps_per_epoch (int): how many batches an epoch has.
        seed (int): the run's seed.
        plan (Callable[[np.random.Generator], Sequence[Indices]]): the batches of an epoch, from its own generator.
    """

    def __init__(
        self, steps_per_epoch: int, seed: int, plan: Callable[[np.random.Generator], Sequence[Indices]]
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self._seed, self._plan = seed, plan
        self._epoch = -1
        self._batches: Sequence[Indices] = ()

    def batch(self, step: int) -> Indices:
        """The examples of one step, `(batch,)`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64(derive(self._seed, "order", epoch)))
            self._epoch, self._batches = epoch, self._plan(generator)
        return self._batches[position]


def shuffled(examples: Indices, batch_size: int, seed: int) -> Epochs:
    """Batches of one size in a new order each epoch; what does not fill a batch is left out.

    Args:
        examples (Indices): which there are, `(n,)`; if they do not fill one batch, some come twice in it.
        batch_size (int): examples of a batch.
        seed (int): the run's seed.
    """
    steps = max(1, len(examples) // batch_size)

    def plan(generator: np.random.Generator) -> list[Indices]:
        order = generator.permutation(examples)
        return np.split(np.resize(order, max(len(order), batch_size))[: steps * batch_size], steps)

    return Epochs(steps, seed, plan)
