"""Batch norm whose state is floats only: `nn.BatchNorm2d` also counts its batches, and nothing reads that."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchNorm(nn.Module):
    """Each channel with mean 0 and variance 1 over the batch, then scaled and moved (Ioffe and Szegedy 2015).

    In evaluation mode the running averages stand for the batch, so that an image has no company.

    Args:
        channels (int): of the images `(batch, channels, height, width)`.
        eps (float): added to the variance.
        momentum (float): weight of a new batch in the running averages.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """The images, normalised."""
        return functional.batch_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
