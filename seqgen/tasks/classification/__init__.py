"""Texts told apart: one label a text, or one for each word of a sentence."""

from seqgen.tasks.classification.kind import KIND

__all__ = ["KIND"]
