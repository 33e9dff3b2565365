"""A language model that sees the last N tokens and nothing else: a finite-response system.

    Y_t = f(X_t, X_{t-1}, ..., X_{t-N+1})

A learned n-gram (Bengio et al. 2003): the vectors of N tokens side by side, a hidden layer over all of them, further
hidden layers above, a softmax. What lies N steps back has no influence at all, where a recurrent cell lets it fade
(`seqgen.nets.recurrent.cells`); in exchange nothing waits for the step before, and a gradient passes no more than a
few layers.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import RecurrentConfig
from seqgen.nets.recurrent.token_layers import TokenLayers, connected, widths
from seqgen.nets.stepping.recurrent import MAX_TABLE


class WindowNetwork(TokenLayers):
    """Predicts the next token from the last `config.window` tokens.

    The state holds the vectors of the tokens before, `(1, window - 1, batch, embed)`; zeros stand for the time before
    the text.

    Args:
        config (RecurrentConfig): sizes; the cell is `window`.
        vocab_size (int): how many tokens there are.
    """

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        first, *above = widths(config)[:-1]
        self.first = nn.Conv1d(first, config.hidden_size, config.window)
        self.above = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in above)

    def initialise(self) -> None:
        """Set the weights before training: each hidden layer passes on as much variance as it gets (He et al. 2015)."""
        super().initialise()
        for name, parameter in self.named_parameters():
            if name.startswith(("first", "above")) and name.endswith("weight"):
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
            elif name.startswith(("first", "above")):
                nn.init.zeros_(parameter)
        self.first.weight.data /= self.embedding_std

    def initial_state(self, batch: int) -> Tensor:
        """The time before the text, `(1, window - 1, batch, embed)`."""
        return self.output.bias.new_zeros(1, self.config.window - 1, batch, self.config.embed_size)

    def step(self) -> WindowStep:
        """What writes with these weights, one token at a time."""
        return WindowStep(self)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each token.

        Args:
            tokens (Tensor): token ids `(batch, time)`.
            state (Tensor): what came before them, from `initial_state` or an earlier call.

        Returns:
            tuple[Tensor, Tensor]: logits `(batch, time, vocab)`, and the state after the last token.
        """
        vectors = self.embed(tokens.t())
        seen = torch.cat((state[0].to(vectors.dtype), vectors))
        written = self.first(self.embed_dropout(seen).permute(1, 2, 0)).permute(2, 0, 1)
        logits = self.logits(self.rest(vectors, written))
        return logits.transpose(0, 1), seen[len(vectors) :][None].to(state.dtype)

    def rest(self, vectors: Tensor, written: Tensor) -> Tensor:
        """What the last layer leaves, from the tokens' vectors and the first layer's sums, `(..., hidden)`."""
        hidden = connected(self.config.connections, vectors, self.dropout(functional.gelu(written)))
        for norm, layer in zip(self.norms, self.above, strict=False):  # the last norm is the output layer's
            written = self.dropout(functional.gelu(layer(norm(hidden))))
            hidden = connected(self.config.connections, hidden, written)
        return hidden

    @property
    def operations_per_token(self) -> int:
        """Multiplications and additions of one token's forward pass, the matrix products only."""
        matrices = {p for name, p in self.named_parameters() if p.dim() > 1 and not name.startswith("embedding")}
        return 2 * sum(matrix.numel() for matrix in {*matrices, self.output_matrix})


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
        network (WindowNetwork): its weights are copied, so that later training does not show.
    """

    def __init__(self, network: WindowNetwork) -> None:
        self._network = copy.deepcopy(network).eval()
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
