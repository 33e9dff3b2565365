"""The gradient through time: how much of what the loss says is left d steps back.

J(t) is the loss of predicting one token, or one label. By the chain rule d J(t) / d s(t-d) is a product of d
Jacobians of single steps, so its norm tends to change by the same factor with every step (Bengio et al. 1994; Pascanu
et al. 2013): below one the network cannot learn what lies far back, above one its steps become wild. One backward
pass gives it for one t and all d. The state s is all that a layer hands on: h, and for the LSTM also c, which is
where its memory is.

The verdict follows the mean of the logarithms over many places in a text, the typical gradient: a mean of the norms
themselves is that of the few places where it is largest. A line is fitted to its base-2 logarithm over the distances
1, 2, ... (least squares); its slope is the `rate`:

    vanishing   the gradient halves within fewer than 3 steps: 30 steps back a thousandth is left, or less
    exploding   it doubles within fewer than 20 steps
    healthy     neither

A network is as healthy as the layer that keeps its gradient longest. `seqgen.nets.recurrent.unrolled` runs the steps,
`seqgen.tasks.language.gradients` reads a text for it and `seqgen.tasks.classification.gradients` labelled texts;
`seqgen.tasks.language.gradient_watch` measures while a network trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seqgen.config import RecurrentCell
from seqgen.decode.step import no_probabilities
from seqgen.nets.recurrent.unrolled import UnrolledLayer, step_norms

Verdict = Literal["vanishing", "healthy", "exploding"]

VANISHES_WITHIN, EXPLODES_WITHIN = 3.0, 20.0  # steps
# A norm outside of this is one of the two: fp32 ends there.
LEAST, MOST = 2.0**-126, 2.0**127
ITERATIONS = 30

GATE_NAMES: Mapping[RecurrentCell, tuple[str, ...]] = {
    "rnn": ("state",),
    "lstm": ("input", "forget", "candidate", "output"),
    "gru": ("reset", "update", "candidate"),
    "peephole": ("input", "forget", "candidate", "output"),
    "gru-before": ("reset", "update", "candidate"),
}
"""The blocks of rows of a recurrent matrix, in PyTorch's order."""


@dataclass(frozen=True)
class Trend:
    """How a gradient changes with distance: as 2 to the power of `rate` times the distance."""

    rate: float

    @property
    def half_life(self) -> float | None:
        """Steps in which it halves; None if it does not."""
        return -1 / self.rate if self.rate < 0 else None

    @property
    def doubling(self) -> float | None:
        """Steps in which it doubles; None if it does not."""
        return 1 / self.rate if self.rate > 0 else None

    @property
    def verdict(self) -> Verdict:
        """The rule above."""
        if self.half_life is not None and self.half_life < VANISHES_WITHIN:
            return "vanishing"
        return "exploding" if self.doubling is not None and self.doubling < EXPLODES_WITHIN else "healthy"

    def __str__(self) -> str:
        if self.half_life is not None:
            return f"{self.verdict}: half-life of {_steps(self.half_life)}"
        return f"{self.verdict}: {'steady' if self.doubling is None else f'doubles every {_steps(self.doubling)}'}"


def _steps(count: float) -> str:
    return f"{count:,.1f} steps" if count < 100 else f"{count:,.0f} steps"


@dataclass(frozen=True)
class LayerFlow:
    """What one layer's gradient does; every list begins at distance 0.

    Args:
        norms (list[float]): of the gradient with regard to the whole state; the mean of the logarithms.
        mean_norms (list[float]): the same; the mean of the norms.
        h_norms (list[float]): as `norms`, with regard to h alone.
        step_norm (float): the mean spectral norm of d s(t) / d s(t-1), this layer's alone.
        spectral_radii (Mapping[str, float]): of the recurrent matrix, by gate.
    """

    norms: list[float]
    mean_norms: list[float]
    h_norms: list[float]
    step_norm: float
    spectral_radii: Mapping[str, float]

    @property
    def trend(self) -> Trend:
        """Of the whole state."""
        return trend_of(self.norms)


def flows(
    loss: Tensor, layers: Sequence[UnrolledLayer], cell: RecurrentCell, generator: torch.Generator
) -> list[LayerFlow]:
    """What the gradient of a loss does in each layer, the lowest first.

    Args:
        loss (Tensor): the sum of that of each sequence, at its last step.
        layers (Sequence[UnrolledLayer]): what it was computed from.
        cell (RecurrentCell): theirs.
        generator (torch.Generator): for the norms of single steps.

    Raises:
        NonFiniteError: the network overflows.
    """
    names = GATE_NAMES[cell]
    gradients = gradients_of(loss, layers)
    return [_layer_flow(layer, own, names, generator) for layer, own in zip(layers, gradients, strict=True)]


def gradients_of(loss: Tensor, layers: Sequence[UnrolledLayer]) -> list[Tensor]:
    """The gradients of a loss with regard to every state of each layer, `(time, parts, batch, hidden)`, by distance.

    The state that was given first is left out: what the layer above saw of it is not among these steps.

    Raises:
        NonFiniteError: the network overflows.
    """
    if not bool(loss.isfinite()):
        raise no_probabilities()
    flat = torch.autograd.grad(loss, [state for layer in layers for state in layer.states[1:]])
    each = len(layers[0].states) - 1
    return [torch.stack(flat[i * each : (i + 1) * each]).flip(0) for i in range(len(layers))]


def whole_norms(gradients: Tensor) -> Tensor:
    """`(distances, batch)` from gradients `(distances, parts, batch, hidden)`, all parts together."""
    return _bounded(gradients.double().square().sum(dim=(1, 3)).sqrt())


def typical(norms: Tensor) -> list[float]:
    """The mean over sequences of the logarithms, as a norm again, by distance."""
    values: list[float] = norms.log2().mean(dim=1).exp2().tolist()
    return values


def trend_of(norms: list[float]) -> Trend:
    """The line through the logarithms from distance 1 to where fp32 ends; from 0 if that is at once."""
    end = next((d for d, norm in enumerate(norms) if d and not LEAST < norm < MOST), len(norms) - 1)
    logs = torch.tensor(norms[min(1, end - 1) : end + 1], dtype=torch.float64).log2()
    apart = torch.arange(len(logs), dtype=torch.float64) - (len(logs) - 1) / 2
    return Trend(float((apart * logs).sum() / apart.square().sum()))


def _layer_flow(
    layer: UnrolledLayer, gradients: Tensor, names: tuple[str, ...], generator: torch.Generator
) -> LayerFlow:
    norms = whole_norms(gradients)
    return LayerFlow(
        norms=typical(norms),
        mean_norms=_bounded(norms.mean(dim=1)).tolist(),
        h_norms=typical(whole_norms(gradients[:, :1])),
        step_norm=float(step_norms(layer, ITERATIONS, generator).mean()),
        spectral_radii=spectral_radii(layer, names),
    )


def spectral_radii(layer: UnrolledLayer, names: tuple[str, ...]) -> dict[str, float]:
    """The largest absolute eigenvalue of each gate's block of a layer's recurrent matrix."""
    blocks = (block.detach().cpu() for block in layer.weights.blocks())
    return {name: float(torch.linalg.eigvals(block).abs().max()) for name, block in zip(names, blocks, strict=True)}


def _bounded(norms: Tensor) -> Tensor:
    """Norms that have a logarithm: what is smaller or larger counts as the bound."""
    return norms.nan_to_num(nan=MOST, posinf=MOST).clamp(LEAST, MOST)
