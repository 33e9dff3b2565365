"""Products of a few rows with a constant matrix: what one step of a network mostly consists of.

A general matrix product first copies the matrix into the order in which its kernel reads it. With thousands of rows
nobody notices; with the five hypotheses of a beam the copy takes longer than the arithmetic. oneDNN, which is part of
PyTorch, can keep that order: the same product takes a third of the time, and, as a row's sum always runs in the same
order, a row's result does not depend on how many others there are. PyTorch has no public name for it; its own compiler
uses these two operators. Where they are missing (not a CPU, not a build with oneDNN) it is a plain product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PackedMatrix:
    """A copy of a matrix `(input, output)`, in the kernel's own order.

    Args:
        matrix (Tensor): in fp32, on the CPU; see `can_pack`.
    """

    def __init__(self, matrix: Tensor) -> None:
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix.detach().t().contiguous(), None)

    def product(self, values: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
        """`values @ matrix + bias`, for `(rows, input)` and `(output,)`, and at least zero if that is wanted."""
        last = "relu" if relu else "none"
        result: Tensor = torch.ops.mkldnn._linear_pointwise(values, self._packed, bias, last, [], "")
        return result

    def add_product(self, other: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """`other + values @ matrix + bias`, for `(rows, output)`, `(rows, input)` and `(output,)`."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise.binary(values, other, self._packed, bias, "add")
        return result


Matrix = Tensor | PackedMatrix


def can_pack(matrix: Tensor) -> bool:
    """Whether `PackedMatrix` works here."""
    known = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    on_cpu = matrix.device.type == "cpu" and matrix.dtype == torch.float32
    return on_cpu and known and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def copied(matrix: Matrix) -> Matrix:
    """A copy of a matrix as it is: for one row nothing is faster."""
    if isinstance(matrix, PackedMatrix):
        return matrix
    return matrix.detach().clone(memory_format=torch.contiguous_format)


def pack(matrix: Matrix) -> Matrix:
    """A copy of a matrix for products with several rows."""
    return PackedMatrix(matrix) if isinstance(matrix, Tensor) and can_pack(matrix) else copied(matrix)


def product(values: Tensor, matrix: Matrix) -> Tensor:
    """`values @ matrix`."""
    return matrix.product(values) if isinstance(matrix, PackedMatrix) else values @ matrix


def add_product(other: Tensor, values: Tensor, matrix: Matrix, bias: Tensor | None = None) -> Tensor:
    """`other + values @ matrix + bias`; `other` may be a bias itself, `(output,)`, or `(rows, output)`."""
    if not isinstance(matrix, PackedMatrix):
        return torch.addmm(other if bias is None else other + bias, values, matrix)
    return matrix.product(values, other) if other.dim() == 1 else matrix.add_product(other, values, bias)


class PackedLinear:
    """Linear layers that read the same values, copied, side by side, without the cost of calling modules.

    Args:
        layers (nn.Linear): one or more, with biases.
    """

    def __init__(self, *layers: nn.Linear) -> None:
        self._matrix = pack(torch.cat([layer.weight for layer in layers]).t())
        self._bias = torch.cat([layer.bias.detach() for layer in layers])

    def __call__(self, values: Tensor, *, relu: bool = False) -> Tensor:
        """What the layers make of `(rows, input)`, `(rows, outputs)`; negative values become zero if that is wanted."""
        if isinstance(self._matrix, PackedMatrix):
            return self._matrix.product(values, self._bias, relu=relu)
        sums = torch.addmm(self._bias, values, self._matrix)
        return sums.relu_() if relu else sums

    def added(self, other: Tensor, values: Tensor) -> Tensor:
        """The same added to something else, `(rows, outputs)`."""
        return add_product(other, values, self._matrix, self._bias)
