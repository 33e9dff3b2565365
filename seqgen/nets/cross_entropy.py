"""Cross-entropy over large vocabularies, its gradient made while the logits are in the cache.

A table of logits, one row per position and one column per token, is the largest tensor of a step by far. PyTorch goes
over it and over tables of its size that it makes on the way a dozen times: in fp32, for the log-softmax, the smoothing,
and the gradient of each. Here a block of rows goes all the way before the next one is touched, and leaves its losses
and its gradient, in the precision of the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 2**19  # logits at a time: 2 MB in fp32


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The sum of the cross-entropies in nats, as `torch.nn.functional.cross_entropy` with `reduction="sum"`.

    Label smoothing asks for the true token with probability `1 - label_smoothing`, and besides for each token with
    `label_smoothing / vocab_size` (Szegedy et al. 2016, section 7).

    Where a gradient is recorded it is computed at once, and can be taken only once.

    Args:
        logits (Tensor): `(positions, vocab_size)`, of any floating type; computed with in fp32 at least.
        targets (Tensor): `(positions,)`, token ids.
        label_smoothing (float): from 0 to 1.

    Returns:
        Tensor: a scalar, in fp32 at least.
    """
    if torch.is_grad_enabled() and logits.requires_grad:
        nats: Tensor = _CrossEntropy.apply(logits, targets, label_smoothing)  # type: ignore[no-untyped-call]
        return nats
    return _in_blocks(logits, targets, label_smoothing, None)


class _CrossEntropy(torch.autograd.Function):
    """With p = softmax(x), the loss of a row is `log(sum(exp(x))) - sum(wanted * x)`, and its gradient `p - wanted`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
        """Keeps the gradient and nothing else."""
        gradient = torch.empty_like(logits)
        nats = _in_blocks(logits, targets, label_smoothing, gradient)
        ctx.save_for_backward(gradient)
        return nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_nats: Tensor) -> tuple[Tensor | None, ...]:
        """In place: a second table would cost as much as all else. Autograd refuses to come here twice then."""
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(d_nats), None, None


def _in_blocks(logits: Tensor, targets: Tensor, label_smoothing: float, gradient: Tensor | None) -> Tensor:
    """The sum of the losses; the gradient, of the shape of the logits, is written where it is wanted."""
    rows = max(1, BLOCK // logits.shape[1])
    nats = []
    for first in range(0, max(1, len(logits)), rows):
        block, true = logits[first : first + rows], targets[first : first + rows, None]
        high = torch.promote_types(block.dtype, torch.float32)
        x = block - block.amax(1, keepdim=True).to(high)
        wanted = (1 - label_smoothing) * x.gather(1, true)
        if label_smoothing:
            wanted += label_smoothing * x.mean(1, keepdim=True)
        total = x.exp_().sum(1, keepdim=True)
        nats.append(total.log() - wanted)
        if gradient is not None:
            p = x.div_(total)
            if label_smoothing:
                p -= label_smoothing / logits.shape[1]
            p.scatter_add_(1, true, p.new_full(true.shape, label_smoothing - 1))
            gradient[first : first + rows] = p
    return torch.cat(nats).sum()
