"""Generators of images, with or without labels, and the discriminators that train them."""

from seqgen.tasks.gan.kind import KIND

__all__ = ["KIND"]
