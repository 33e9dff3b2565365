"""A network with a window of tokens, one token at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.stepping.recurrent import MAX_TABLE


class Ring(NamedTuple):
    """The last tokens of some texts, written in a circle: what is new overwrites what is oldest.

    Args:
        tokens (Tensor): `(batch, window)`, one past the vocabulary where there was no token yet.
        place (Tensor): where the next token goes, `(batch,)`.
    """

    tokens: Tensor
    place: Tensor

    def push(self, tokens: Tensor) -> Ring:
        """The ring after one more token for each text, `(batch,)`."""
        size = self.tokens.shape[1]
        return Ring(self.tokens.scatter(1, self.place[:, None], tokens[:, None]), (self.place + 1) % size)

    def ages(self) -> Tensor:
        """How many tokens came after each, `(batch, window)`: 0 for the newest."""
        size = self.tokens.shape[1]
        return (self.place[:, None] - 1 - torch.arange(size, device=self.place.device)) % size


class WindowStep:
    """The `Step` of a `WindowNetwork`; a step sums N rows of a table instead of multiplying N vectors with a matrix.

    Args:
        network (WindowNetwork): is copied.
    """

    def __init__(self, network: WindowNetwork) -> None:
        self._network = network = copy.deepcopy(network).eval()
        vocab, hidden, window = network.vocab_size, network.config.hidden_size, network.config.window
        self._table = None
        if (vocab + 1) * hidden * window <= MAX_TABLE:
            with torch.inference_mode():
                # Row age * (vocab + 1) + token: that token's share of the first layer's sums, that many steps later.
                shares = torch.einsum("ve,hea->avh", self._vectors(), network.first.weight.flip(2))
                shares[0] += network.first.bias  # type: ignore[arg-type]
                self._table = shares.reshape(-1, hidden).contiguous()

    def _vectors(self) -> Tensor:
        """Vectors of all tokens, and zeros for none, `(vocab + 1, embed)`."""
        network = self._network
        return functional.pad(network.embed(torch.arange(network.vocab_size, device=network.device)), (0, 0, 0, 1))

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, Ring]:
        """Read a prompt `(batch, time)`; log-probabilities `(batch, vocab)` of what follows, and the state there."""
        network, window = self._network, self._network.config.window
        recent = functional.pad(tokens, (window, 0), value=network.vocab_size)[:, -window:]
        ring = Ring(recent, recent.new_zeros(len(recent)))
        return self._read(tokens[:, -1], ring), ring

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        """Log-probabilities `(batch, vocab)` after one more token for each text, `(batch,)`, and the new state."""
        ring = state.push(tokens)
        return self._read(tokens, ring), ring

    def _read(self, tokens: Tensor, ring: Ring) -> Tensor:
        network = self._network
        if self._table is not None:
            index = ring.tokens + ring.ages() * (network.vocab_size + 1)
            sums = functional.embedding_bag(index, self._table, mode="sum")
        else:
            oldest_first = ring.tokens.gather(1, ring.ages().argsort(dim=1, descending=True))
            vectors = functional.embedding(oldest_first, self._vectors())
            sums = network.first(vectors.transpose(1, 2))[:, :, 0]
        return network.logits(network.rest(network.embed(tokens), sums)).log_softmax(dim=-1)

    def reorder(self, state: Ring, index: Tensor) -> Ring:
        """The state of the texts `index`, `(new_batch,)`, which may repeat or leave out some."""
        return Ring(state.tokens[index], state.place[index])

    def join(self, states: Sequence[Ring]) -> Ring:
        """The state of all texts of several states, in order."""
        return Ring(*(torch.cat(parts) for parts in zip(*states, strict=True)))
