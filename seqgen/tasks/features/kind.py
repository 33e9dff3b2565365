"""What feature networks log, and what is known of it."""

from __future__ import annotations

from seqgen.metrics.measure import Measure, of_the_loop

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    *of_the_loop("images"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_accuracy", "accuracy {:.4f}", "", "higher", shown=True),
)
