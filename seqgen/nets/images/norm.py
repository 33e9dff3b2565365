"""Norms: of a batch, and of a matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's, `(batch, channels, height, width)` to the same, without the count of batches, which nothing reads.

    So its state is floats only. In evaluation mode the running averages stand for the batch, and an image does not
    depend on its neighbours.

    Args:
        channels (int): of the images.
        eps (float): added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *state: Any) -> None:
        """As every module does: PyTorch's own would ask for the count."""
        nn.Module._load_from_state_dict(self, *state)


class SpectralNorm(nn.Module):
    """A matrix divided by its largest singular value (Miyato et al. 2018, algorithm 1); a kernel is `(out, the rest)`.

    The singular vectors u and v are estimates, one step of power iteration better with each pass in training. It is
    PyTorch's `spectral_norm` but for the beginning: a network that is to be filled from a file computes nothing, and a
    new one begins from the weights that it was given last.

    Args:
        weight (Tensor): what it is for: `register_parametrization(layer, "weight", SpectralNorm(layer.weight))`.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.register_buffer("_u", weight.new_zeros(rows))
        self.register_buffer("_v", weight.new_zeros(columns))

    def initialise(self, weight: Tensor) -> None:
        """Draw u, and bring both vectors near those of the weight."""
        nn.init.normal_(self._u)
        for _ in range(15):
            self._iterate(weight.flatten(1))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self._v.copy_(functional.normalize(torch.mv(matrix.t(), self._u), dim=0))
        self._u.copy_(functional.normalize(torch.mv(matrix, self._v), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, with a largest singular value of about 1."""
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix)
        # Copies: the next pass changes the vectors before the gradient of this one is taken.
        return weight / torch.dot(self._u.clone(), torch.mv(matrix, self._v.clone()))
