"""Fakes of earlier steps, kept for the discriminator (Shrivastava et al. 2017, section 2.3).

A discriminator that is shown the newest fakes only forgets what it knew of others, and the generator may go round in
circles. So it is shown, for each new fake, this one or one of the last fifty, at even odds.
"""

from __future__ import annotations

import torch
from torch import Tensor


class History:
    """Some of the last fakes, as bytes.

    What is drawn comes from torch's generator, which the loop seeds for each step: the history itself has no random
    state.

    Args:
        size (int): how many fakes are kept; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: Tensor | None = None

    def exchange(self, fakes: Tensor) -> Tensor:
        """For each new fake itself, or an older one in whose place it is kept then.

        Args:
            fakes (Tensor): `(batch, channels, height, width)` in [-1, 1].

        Returns:
            Tensor: likewise, without a gradient; older ones are rounded to bytes.
        """
        shown = fakes.detach().clone()
        if self._size == 0:
            return shown
        new = to_bytes(shown)
        kept = new[:0] if self._kept is None else self._kept
        swaps, places = torch.rand(len(new)), torch.randint(self._size, (len(new),))
        for i in range(len(new)):
            if len(kept) < self._size:
                kept = torch.cat([kept, new[i : i + 1]])
            elif swaps[i] < 0.5:
                place = int(places[i])
                shown[i] = kept[place].to(shown.device, shown.dtype) / 127.5 - 1.0
                kept[place] = new[i]
        self._kept = kept
        return shown

    def state(self) -> Tensor:
        """The fakes that are kept, bytes `(kept, channels, height, width)`."""
        return torch.empty(0, 1, 1, 1, dtype=torch.uint8) if self._kept is None else self._kept

    def load_state(self, kept: Tensor) -> None:
        """Restore what `state` gave."""
        self._kept = kept.clone() if len(kept) else None


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as bytes on the CPU, rounded to the nearest."""
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()
