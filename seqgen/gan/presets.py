"""Presets of `gan-train`: which networks, which game, how fast. An option that is typed wins over its preset.

    quick      batch norm in both, high and falling learning rate, averaged weights: for minutes on a CPU
    classic    the recipe of Radford et al. 2016, section 4: widths, learning rate and latent as in the paper
    spectral   spectral norm in the discriminator (Miyato et al. 2018), hinge loss: slower at first, more varied later
    r3         no norm at all, relativistic pairs with R1 and R2 (Huang et al. 2024); a penalty differentiates twice, so
               that with half the widths its steps still take nine times those of `quick`

`quick` is the default of every field in `seqgen.config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["quick", "classic", "spectral", "r3"]

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "quick": {},
    "classic": {
        "latent_size": 100,
        "generator_size": 64,
        "discriminator_size": 64,
        "batch_size": 128,
        "lr": 2e-4,
        "schedule": "constant",
        "ema": 0.0,
    },
    "spectral": {
        "body": "spectral",
        "loss": "hinge",
        "lr": 4e-4,
        "beta1": 0.0,
        "beta2": 0.9,
        "schedule": "linear",
    },
    "r3": {
        "body": "residual",
        "loss": "relativistic",
        "r1": 1.0,
        "r2": 1.0,
        "generator_size": 24,
        "discriminator_size": 16,
        "lr": 1e-3,
        "beta1": 0.0,
        "beta2": 0.99,
        "ema": 0.995,
    },
}
