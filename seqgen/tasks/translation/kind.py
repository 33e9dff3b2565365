"""What translation models log, and what is known of it."""

from __future__ import annotations

from seqgen.metrics.measure import Measure, of_the_loop

MEASURES = (
    Measure("loss", "loss {:.4f} {unit}", "nats", "lower", smoothed=True),
    *of_the_loop("tokens"),
    Measure("valid_loss", "valid {:.4f} {unit}", "nats", "lower", shown=True),
    Measure("valid_perplexity", "perplexity {:.2f}", "", "lower", shown=True),
    Measure("valid_bleu", "BLEU {:.2f}", "", "higher", shown=True),
    Measure("valid_chrf", "chrF {:.2f}", "", "higher", shown=True),
)
