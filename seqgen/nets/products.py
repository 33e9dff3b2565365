"""Products of a few rows with a constant matrix: what one step of a network mostly consists of.

A general matrix product first copies the matrix into the order in which its kernel reads it. With thousands of rows
nobody notices; with the five hypotheses of a beam the copy takes longer than the arithmetic. oneDNN, which is part of
PyTorch, can keep that order: the same product takes a third of the time, and in fp32, where a row's sum always runs in
the same order, a row's result does not depend on how many others there are. PyTorch has no public name for it; its own
compiler uses these two operators. Where they are missing (not a CPU, not a build with oneDNN) it is a plain product.

A matrix in bf16 takes half the bytes; whether it takes less time depends on the processor. The values are rounded to
bf16 for the product, and so is its result; sums with what was there before are in the precision of that. Some
processors sum bf16 products in another order for other numbers of rows: then the last bit of a result may differ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ReorderedMatrix:
    """A copy of a matrix `(input, output)`, in the kernel's own order.

    Args:
        matrix (Tensor): on the CPU, in fp32 or bf16; see `can_reorder`.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.dtype = matrix.dtype
        self._matrix: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix.detach().t().contiguous(), None)

    def product(self, values: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
        """`values @ matrix + bias`, for `(rows, input)` and `(output,)`, and at least zero if that is wanted."""
        last, rounded = "relu" if relu else "none", values.to(self.dtype)
        bias = None if bias is None else bias.to(self.dtype)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rounded, self._matrix, bias, last, [], "")
        return result.to(values.dtype)

    def add_product(self, other: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """`other + values @ matrix + bias`, for `(rows, output)`, `(rows, input)` and `(output,)`."""
        if other.dtype != self.dtype:  # the fused sum would be rounded
            return other + self.product(values, bias)
        result: Tensor = torch.ops.mkldnn._linear_pointwise.binary(values, other, self._matrix, bias, "add")
        return result


Matrix = Tensor | ReorderedMatrix


def can_reorder(matrix: Tensor) -> bool:
    """Whether `ReorderedMatrix` works here for a matrix `(input, output)`."""
    ops, kinds = torch.ops.mkldnn, [torch.float32]
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if hasattr(ops, "_is_mkldnn_bf16_supported") and ops._is_mkldnn_bf16_supported():
        kinds.append(torch.bfloat16)
    known = hasattr(ops, "_linear_pointwise") and hasattr(ops, "_reorder_linear_weight")
    return known and matrix.device.type == "cpu" and matrix.dtype in kinds


def copied(matrix: Matrix) -> Matrix:
    """A copy of a matrix as it is: for one row nothing is faster."""
    if isinstance(matrix, ReorderedMatrix):
        return matrix
    return matrix.detach().clone(memory_format=torch.contiguous_format)


def reordered(matrix: Matrix, dtype: torch.dtype | None = None) -> Matrix:
    """A copy of a matrix for products with several rows, of its own precision or another."""
    if isinstance(matrix, Tensor):
        matrix = matrix.to(dtype or matrix.dtype)
        if can_reorder(matrix):
            return ReorderedMatrix(matrix)
    return copied(matrix)


def product(values: Tensor, matrix: Matrix) -> Tensor:
    """`values @ matrix`, for `(rows, input)` and `(input, output)`."""
    if isinstance(matrix, ReorderedMatrix):
        return matrix.product(values)
    return (values.to(matrix.dtype) @ matrix).to(values.dtype)


def add_product(other: Tensor, values: Tensor, matrix: Matrix, bias: Tensor | None = None) -> Tensor:
    """`other + values @ matrix + bias`; `other` may be a bias itself, `(output,)`, or `(rows, output)`."""
    if not isinstance(matrix, ReorderedMatrix):
        other = other if bias is None else other + bias
        if values.dtype != matrix.dtype:
            return other + product(values, matrix)
        return torch.addmm(other, values, matrix)
    if other.dim() == 1:
        return matrix.product(values, other if bias is None else other + bias)
    return matrix.add_product(other, values, bias)


class ReorderedLinear:
    """Linear layers that read the same values, copied, side by side, without the cost of calling modules.

    Args:
        layers (nn.Linear): one or more, with biases.
        dtype (torch.dtype | None): of the products; None: the weights' own.
    """

    def __init__(self, *layers: nn.Linear, dtype: torch.dtype | None = None) -> None:
        self._matrix = reordered(torch.cat([layer.weight for layer in layers]).t(), dtype)
        self._bias = torch.cat([layer.bias.detach() for layer in layers])

    def __call__(self, values: Tensor, *, relu: bool = False) -> Tensor:
        """What the layers make of `(rows, input)`, `(rows, outputs)`; negative values become zero if that is wanted."""
        if isinstance(self._matrix, ReorderedMatrix):
            return self._matrix.product(values, self._bias, relu=relu)
        sums = add_product(self._bias, values, self._matrix)
        return sums.relu_() if relu else sums

    def added(self, other: Tensor, values: Tensor) -> Tensor:
        """The same added to something else, `(rows, outputs)`."""
        return add_product(other, values, self._matrix, self._bias)
