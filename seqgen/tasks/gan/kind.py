"""What is known of GANs by commands that serve every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgen.config.evaluation import GanEvaluation
from seqgen.metrics.measure import Measure, of_the_loop
from seqgen.tasks.kind import Evaluated, Evaluation, Kind, Request

if TYPE_CHECKING:
    import torch

    from seqgen.tasks.gan.model import GanModel

# What the measures are named by: nothing is held out, the real images are those that are trained on.
MEASURED_ON = "train"

MOST_LEVELS = 8

MEASURES = (
    Measure("discriminator_loss", "D {:.3f}", smoothed=True),
    Measure("generator_loss", "G {:.3f}", smoothed=True),
    Measure("discriminator_accuracy", "D right {:.0%}", smoothed=True),
    # Of the levels of a LapGAN, from 0, the coarsest, on.
    *(
        measure
        for level in range(MOST_LEVELS)
        for measure in (
            Measure(f"discriminator_{level}_loss", f"D{level} {{:.3f}}", smoothed=True),
            Measure(f"generator_{level}_loss", f"G{level} {{:.3f}}", smoothed=True),
            Measure(f"discriminator_{level}_accuracy", f"D{level} right {{:.0%}}", smoothed=True),
        )
    ),
    *of_the_loop("images"),
    Measure("discriminator_grad_norm", "gradients D {:.2g}"),
    Measure("generator_grad_norm", "G {:.2g}"),
    Measure("sign", "r_t {:.2f}"),
    Measure("image_gradient", "gradient at images {:.2g}"),
    Measure("change", "change {:.2f}"),
    Measure("train_spread", "spread {:.2f}", "", "higher"),
    Measure("train_precision", "precision {:.2f}", "", "higher"),
    Measure("train_recall", "recall {:.2f}", "", "higher", shown=True),
    Measure("train_different_bins", "bins off {:.0%}", "", "lower"),
    Measure("train_missing", "classes missing {:.0%}", "", "lower"),
    Measure("train_as_asked", "as asked {:.1%}", "", "higher"),
    Measure("train_closeness", "closeness {:.2f}"),
    Measure("train_frechet", "Fréchet {:.3g}", "", "lower", shown=True),
    Measure("train_floor", "floor {:.2g}"),
    Measure("health", "{}"),
)


def _load(name: str, device: torch.device) -> GanModel:
    from seqgen.tasks.gan.model import GanModel

    return GanModel.load(name, device)


def _evaluate(request: Request) -> Evaluated:
    from seqgen.tasks.gan.evaluate import evaluate_samples

    return evaluate_samples(request)


KIND = Kind(
    "images",
    MEASURES,
    rank="train_frechet",
    curve="train_frechet",
    evaluation=Evaluation("a GAN", GanEvaluation, _evaluate),
    load=_load,
)
