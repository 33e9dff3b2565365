"""What is known of networks that translate images by commands that serve every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen.config.evaluation import ImagePairsEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.image_translation.model import TranslatorModel

MEASURES = (
    Measure("discriminator_loss", "D {:.3f}", smoothed=True),
    Measure("generator_loss", "G {:.3f}", smoothed=True),
    Measure("discriminator_accuracy", "D right {:.0%}", smoothed=True),
    *of_the_loop("images"),
    Measure("discriminator_grad_norm", "gradients D {:.2g}"),
    Measure("generator_grad_norm", "G {:.2g}"),
    Measure("sign", "r_t {:.2f}"),
    Measure("image_gradient", "gradient at images {:.2g}"),
    Measure("valid_l1", "valid L1 {:.4f}", "", "lower", shown=True),
    Measure("valid_psnr", "{:.2f} dB", "", "higher"),
    Measure("valid_ssim", "SSIM {:.3f}", "", "higher", shown=True),
    Measure("valid_sensitivity", "sensitivity {:.2f}"),
    Measure("valid_noise", "noise {:.2f}"),
    Measure("valid_likeness", "likeness {:.2f}"),
    Measure("valid_frechet", "Fréchet {:.3g}", "", "lower", shown=True),
    Measure("valid_floor", "floor {:.2g}"),
    Measure("health", "{}"),
)


def _load(name: str, device: torch.device) -> TranslatorModel:
    from seqgen.tasks.image_translation.model import TranslatorModel

    return TranslatorModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.image_translation.evaluate import evaluate_pairs

    return evaluate_pairs(request)


KIND = Kind(
    "image-translation",
    MEASURES,
    rank="valid_frechet",
    curve="valid_frechet",
    evaluation=Evaluation("a network that translates images", ImagePairsEvaluation, _evaluate),
    load=_load,
    hint="train one with seqgen gan-train --arch pix2pix",
)
