"""Translation models: the probability of a target sentence given its source."""

from seqgen.tasks.translation.kind import KIND

__all__ = ["KIND"]
