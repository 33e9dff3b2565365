"""How far two ways to one number may lie apart: what the arithmetic allows, not what one machine showed.

A sum of n products that is added up in another order, or with fused multiply-adds, moves by at most n * eps times the
sum of the absolute products (Higham 2002, section 3.1: n * eps / 2 for each of the two orders). Which order is taken
depends on the vector width of the processor, the number of threads and the version of PyTorch. A network is a chain of
such sums, and each may stretch what the one before has moved. So two ways through a network are compared in fp64, where
`NEAR` leaves room for four million roundings and is still far below any mistake. Where fp32 itself is tested, the bound
is `rounding`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NEAR = 1e-9


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    """Two ways to the same numbers, the first of them in fp64."""
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=NEAR, atol=NEAR, check_dtype=False)


def rounding(terms: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> float:
    """The bound above.

    Args:
        terms (int): how many numbers are added, in all sums of the chain together.
        scale (float): the sum of their absolute values, at most.
        dtype (torch.dtype): what they are added in.
    """
    return terms * torch.finfo(dtype).eps * scale


def terms_of(network: nn.Module) -> int:
    """How many terms the sums on the way through a network have, one layer after the other."""
    return sum(matrix[0].numel() for matrix in network.parameters() if matrix.dim() > 1)
