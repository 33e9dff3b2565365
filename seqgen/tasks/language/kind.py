"""What language models log, and what is known of it."""

from __future__ import annotations

from seqgen.metrics.measure import Measure, of_the_loop

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    Measure("bits_per_char", "{:.3f} {unit}", "bits/char", "lower", smoothed=True),
    *of_the_loop("tokens"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_bits_per_char", "{:.3f} {unit}", "bits/char", "lower", shown=True),
    Measure("valid_perplexity", "perplexity {:.2f}", "", "lower", shown=True),
    Measure("gradient_flow", "through time {}"),
)
