"""The loss over a large vocabulary with its gradient, without the network: ours and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from measuring import Row, Settings, compare, interleaved, seconds
from plain_torch import use_threads
from torch import Tensor
from torch.nn import functional

from seqgen.nets.cross_entropy import cross_entropy

POSITIONS, VOCABULARY, SMOOTHING = 2000, 8000, 0.1


def loss(settings: Settings) -> list[Row]:
    """Label smoothing on logits in both precisions."""
    use_threads(settings.threads)
    return [row for kind in (torch.float32, torch.bfloat16) for row in _one(settings, kind)]


def _one(settings: Settings, kind: torch.dtype) -> list[Row]:
    positions, times = settings.amount(POSITIONS), settings.amount(10)
    logits = torch.randn(positions, VOCABULARY).to(kind).requires_grad_()
    targets = torch.randint(VOCABULARY, (positions,))

    def rate(total: Callable[[], Tensor]) -> float:
        return times * positions / seconds(lambda: [torch.autograd.grad(total(), logits) for _ in range(times)])

    measured = interleaved(
        {
            "ours": lambda: rate(lambda: cross_entropy(logits, targets, SMOOTHING)),
            "peer": lambda: rate(
                lambda: functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=SMOOTHING)
            ),
        },
        settings.repeats,
    )
    name = f"cross-entropy of {VOCABULARY:,} tokens {'fp32' if kind == torch.float32 else 'bf16'}"
    return [compare(name, measured["ours"], measured["peer"], "positions/s", "torch's")]
