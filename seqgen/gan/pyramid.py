"""The sizes of an image on its way through a network, for any height and width."""

from __future__ import annotations

# An image is halved until its shorter side has fewer pixels than this: 64 and 32 end at 4, 28 ends at 7.
SMALLEST_HALVED = 8
WIDEST = 8


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Heights and widths from the image down, each half of the one before, rounded up; at least two."""
    sizes = [(height, width)]
    while len(sizes) < 2 or min(sizes[-1]) >= SMALLEST_HALVED:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def widths(base: int, halvings: int) -> list[int]:
    """Channels after each halving: doubled each time, up to eightfold."""
    return [base * min(2**i, WIDEST) for i in range(halvings)]
