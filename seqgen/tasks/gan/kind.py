"""What GANs log, and what is known of it."""

from __future__ import annotations

from seqgen.metrics.measure import Measure, of_the_loop

# What the measures are named by: nothing is held out, the real images are those that are trained on.
MEASURED_ON = "train"

MEASURES = (
    Measure("discriminator_loss", "D {:.3f}", smoothed=True),
    Measure("generator_loss", "G {:.3f}", smoothed=True),
    Measure("discriminator_accuracy", "D right {:.0%}", smoothed=True),
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
