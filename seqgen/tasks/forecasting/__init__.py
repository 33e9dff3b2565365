"""Series of numbers forecast: finite and infinite response, with a band."""

from seqgen.tasks.forecasting.kind import KIND

__all__ = ["KIND"]
