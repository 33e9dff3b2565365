"""Clips put into words."""

from seqgen.tasks.captioning.kind import KIND

__all__ = ["KIND"]
