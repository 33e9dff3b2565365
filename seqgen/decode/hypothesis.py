"""What a search returns: hypotheses, and on request the tree that it walked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Fate = Literal["kept", "dropped", "ended"]


@dataclass(frozen=True)
class Hypothesis:
    """One whole output.

    Args:
        token_ids (tuple[int, ...]): without the end symbol.
        log_probs (tuple[float, ...]): of each token and of the end symbol, in nats; one more than `token_ids`.
        score (float): what the search maximised (see `seqgen.config.SearchConfig`).
        attention (Tensor | None): what each target token, the end symbol included, paid to each source token,
            `(target + 1, source)`, if it was asked for and the network has any.
    """

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    attention: Tensor | None = None

    @property
    def log_prob(self) -> float:
        """`log P(Y)`, the sum over all tokens and the end symbol."""
        return sum(self.log_probs)


@dataclass(frozen=True)
class Branch:
    """One extension that a beam search considered, as a node of the tree that `--show-beams` draws.

    Args:
        parent (int): its parent's place in the list of branches, -1 at the root.
        token_id (int): the token that it adds.
        log_prob (float): of this token, in nats.
        total (float): summed from the root, in nats.
        fate (Fate): kept as a live hypothesis, dropped, or ended by the end symbol.
    """

    parent: int
    token_id: int
    log_prob: float
    total: float
    fate: Fate
