"""Language models: the probability of the next token after those before it."""

from seqgen.tasks.language.kind import KIND

__all__ = ["KIND"]
