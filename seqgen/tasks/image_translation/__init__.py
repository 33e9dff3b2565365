"""Networks that make an image of an image."""

from seqgen.tasks.image_translation.kind import KIND

__all__ = ["KIND"]
