"""The statistics that batch norm remembers, measured anew.

They belong to the weights that they were measured with. An average of weights has others, and with those of the last
weights, or their average, its images are worse than those of any weights in it. So they are taken from a few batches
whenever averaged weights are judged or saved.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqgen.nets.images.norm import BatchNorm


@torch.no_grad()
def measure_statistics(network: nn.Module, batches: Iterable[tuple[Tensor | None, ...]]) -> None:
    """Let every batch norm of a network remember the mean of its statistics over some batches.

    Args:
        network (nn.Module): it stays in the mode that it is in.
        batches (Iterable[tuple[Tensor | None, ...]]): what the network is called with.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    mode, momenta = network.training, [norm.momentum for norm in norms]
    network.train()
    for number, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = 1.0 / (number + 1.0)
        network(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(mode)
