"""What the two networks want: losses of their logits, and penalties on the discriminator's slope.

`d` is the discriminator's logit, positive for real, and `log D = -softplus(-d)`, so that nothing saturates in the
arithmetic. The discriminator gives `d_r` to real and `d_f` to fake images; means over the batch:

    loss              discriminator                               generator
    minimax           softplus(-d_r) + softplus(d_f)              -softplus(d_f)           Goodfellow et al. 2014, eq. 1
    non-saturating    softplus(-d_r) + softplus(d_f)              softplus(-d_f)           ib., section 3
    least-squares     (d_r - 1)^2 / 2 + d_f^2 / 2                 (d_f - 1)^2 / 2          Mao et al. 2017, eq. 9
    hinge             max(0, 1 - d_r) + max(0, 1 + d_f)           -d_f                     Lim and Ye 2017, eq. 11
    wasserstein-gp    d_f - d_r, with a gradient penalty          -d_f                     Gulrajani et al. 2017, eq. 3
    relativistic      softplus(d_f - d_r)                         softplus(d_r - d_f)      Huang et al. 2024, eq. 2

Minimax and non-saturating have the same fixed points. What differs is the gradient of a generator whose images are
recognised, `d_f << 0`: `-sigmoid(d_f)`, nearly nothing, in the first and `-sigmoid(-d_f)`, nearly -1, in the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from seqgen.config import GanLoss


def discriminator_loss(kind: GanLoss, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss, a scalar, from logits `(batch,)` of real and fake images."""
    match kind:
        case "minimax" | "non-saturating":
            return (softplus(-real) + softplus(fake)).mean()
        case "least-squares":
            return ((real - 1.0).square() + fake.square()).mean() / 2.0
        case "hinge":
            return (relu(1.0 - real) + relu(1.0 + fake)).mean()
        case "wasserstein-gp":
            return (fake - real).mean()
        case "relativistic":
            return softplus(fake - real).mean()
        case _:
            assert_never(kind)


def generator_loss(kind: GanLoss, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The generator's loss, a scalar, from logits `(batch,)`; those of real images where `needs_real`."""
    match kind:
        case "minimax":
            return -softplus(fake).mean()
        case "non-saturating":
            return softplus(-fake).mean()
        case "least-squares":
            return (fake - 1.0).square().mean() / 2.0
        case "hinge" | "wasserstein-gp":
            return -fake.mean()
        case "relativistic":
            assert real is not None
            return softplus(real - fake).mean()
        case _:
            assert_never(kind)


def needs_real(kind: GanLoss) -> bool:
    """Whether the generator's loss compares with real images."""
    return kind == "relativistic"


def squared_slope(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared norm of the logit's gradient at the images (Mescheder et al. 2018, eq. 9).

    At real images it is R1, at fake ones R2.

    Args:
        logits (Tensor): `(batch,)`, computed from `images`.
        images (Tensor): `(batch, channels, height, width)`, which require a gradient.
    """
    slope: Tensor = torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
    return slope.square().flatten(1).sum(dim=1).mean()


def gradient_penalty(discriminate: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """`(|grad d(x)| - 1)^2` at points between real and fake images (Gulrajani et al. 2017, eq. 3).

    Args:
        discriminate (Callable[[Tensor], Tensor]): images to logits.
        real (Tensor): `(batch, channels, height, width)`.
        fake (Tensor): likewise.
        shares (Tensor): where between each pair, `(batch,)` in [0, 1]; 0 is the fake.
    """
    between = torch.lerp(fake, real, shares[:, None, None, None]).requires_grad_()
    [slope] = torch.autograd.grad(discriminate(between).sum(), between, create_graph=True)
    excess: Tensor = slope.flatten(1).norm(dim=1) - 1.0
    return excess.square().mean()
