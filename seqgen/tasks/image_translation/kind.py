"""What is known of networks that translate images by commands that serve every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen.config.evaluation import ImageTranslationEvaluation
from seqgen.metrics.measure import Better, Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.image_translation.model import TranslatorModel

# What is measured of a CycleGAN, both ways.
BOTH_WAYS: tuple[tuple[str, str, Better | None], ...] = (
    ("cycle", "there and back {:.4f}", "lower"),
    ("sensitivity", "sensitivity {:.2f}", None),
    ("likeness", "likeness {:.2f}", None),
    ("hidden", "with noise {:.1f} times", None),
    ("frechet", "Fréchet {:.3g}", "lower"),
    ("floor", "floor {:.2g}", None),
)
MEASURES = (
    Measure("discriminator_loss", "D {:.3f}", smoothed=True),
    Measure("generator_loss", "G {:.3f}", smoothed=True),
    Measure("discriminator_a_loss", "D of A {:.3f}", smoothed=True),
    Measure("discriminator_b_loss", "of B {:.3f}", smoothed=True),
    Measure("generators_loss", "G {:.3f}", smoothed=True),
    Measure("discriminator_accuracy", "D right {:.0%}", smoothed=True),
    *of_the_loop("images"),
    Measure("discriminator_a_accuracy", "D of A right {:.0%}", smoothed=True),
    Measure("discriminator_b_accuracy", "of B {:.0%}", smoothed=True),
    Measure("discriminator_grad_norm", "gradients D {:.2g}"),
    Measure("discriminator_a_grad_norm", "gradients D of A {:.2g}"),
    Measure("discriminator_b_grad_norm", "of B {:.2g}"),
    Measure("generator_grad_norm", "G {:.2g}"),
    Measure("generators_grad_norm", "G {:.2g}"),
    Measure("sign", "r_t {:.2f}"),
    Measure("image_gradient", "gradient at images {:.2g}"),
    *(
        measure
        for side in "ab"
        for measure in (
            Measure(f"discriminator_{side}_sign", f"r_t of {side.upper()} {{:.2f}}"),
            Measure(f"discriminator_{side}_image_gradient", f"gradient at images of {side.upper()} {{:.2g}}"),
        )
    ),
    Measure("valid_l1", "valid L1 {:.4f}", "", "lower", shown=True),
    Measure("valid_psnr", "{:.2f} dB", "", "higher"),
    Measure("valid_ssim", "SSIM {:.3f}", "", "higher", shown=True),
    Measure("valid_sensitivity", "sensitivity {:.2f}"),
    Measure("valid_noise", "noise {:.2f}"),
    Measure("valid_likeness", "likeness {:.2f}"),
    Measure("valid_cycle", "there and back {:.4f}", "", "lower"),
    *(
        Measure(f"valid_{name}_{way}", f"{way} {phrase}", "", better)
        for way in ("a2b", "b2a")
        for name, phrase, better in BOTH_WAYS
    ),
    Measure("valid_frechet", "Fréchet {:.3g}", "", "lower", shown=True),
    Measure("valid_floor", "floor {:.2g}"),
    Measure("health", "{}"),
)


def _load(name: str, device: torch.device) -> TranslatorModel:
    from seqgen.tasks.image_translation.model import TranslatorModel

    return TranslatorModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.image_translation.evaluate import evaluate_translator

    return evaluate_translator(request)


KIND = Kind(
    "image-translation",
    MEASURES,
    rank="valid_frechet",
    curve="valid_frechet",
    evaluation=Evaluation("a network that translates images", ImageTranslationEvaluation, _evaluate),
    load=_load,
    hint="train one with seqgen gan-train --arch pix2pix",
)
