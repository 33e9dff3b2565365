"""A text in parallel lanes: the order in which a language model reads its training text."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgen.data.corpus import TokenSpan
from seqgen.seeds import derive


class Lanes:
    """A span cut into parallel contiguous lanes, read a chunk at a time.

    Step `s` of an epoch reads the `s`-th chunk of every lane, so the state that a lane's network ended a chunk
    with is the state that its next chunk begins with. Each epoch starts at another place of the text, a function
    of the seed and the epoch alone, so that chunk borders move; the text's end is followed by its beginning.

    Args:
        span (TokenSpan): at least two tokens.
        num_lanes (int): how many lanes; a short text gets fewer, so that each is a chunk long.
        chunk (int): tokens per lane and step; the last chunk of an epoch may be shorter.
        seed (int): the run's seed.
    """

    def __init__(self, span: TokenSpan, num_lanes: int, chunk: int, seed: int) -> None:
        self.span, self.chunk, self.seed = span, chunk, seed
        self.num_lanes = max(1, min(num_lanes, len(span) // chunk))
        # One token of every lane is only ever a target when a single lane holds the whole text.
        self.lane_length = (len(span) - (self.num_lanes == 1)) // self.num_lanes
        self.steps_per_epoch = -(-self.lane_length // chunk)

    def read(self, step: int, rows: slice = slice(None)) -> tuple[Tensor, Tensor, bool]:
        """The batch of one step, or some of its lanes.

        Returns:
            tuple[Tensor, Tensor, bool]: inputs and targets, both `(lanes, time)`, the targets one token later; and
            whether an epoch begins, so that the state starts from zero.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        turn = derive(self.seed, "rotation", epoch) % len(self.span) if self.num_lanes > 1 else 0
        begin = index * self.chunk
        length = min(self.chunk, self.lane_length - begin)
        starts = (turn + lane * self.lane_length + begin for lane in range(self.num_lanes)[rows])
        tokens = torch.from_numpy(self.span.read_circular(starts, length + 1))
        return tokens[:, :-1], tokens[:, 1:], index == 0
