"""Networks whose inner layer serves to compare images, and the comparison of sets of images by them."""

from seqgen.tasks.features.kind import KIND

__all__ = ["KIND"]
