"""What language models share around their layers: the embedding below, connections between, the output layer above."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import Connections, RecurrentConfig
from seqgen.nets.dropout import Dropout

EMBEDDING_STD, TIED_STD = 3.0, 0.1


def connected(connections: Connections, read: Tensor, written: Tensor) -> Tensor:
    """What the next layer is given of what a layer read and wrote, `(..., size)` each.

    Residual: their sum, where sizes agree (He et al. 2016); dense: both side by side (Huang et al. 2017). Either way
    the gradient has a path around the layer.
    """
    if connections == "dense":
        return torch.cat((read, written), dim=-1)
    if connections == "residual" and read.shape[-1] == written.shape[-1]:
        return read + written
    return written


def widths(config: RecurrentConfig) -> list[int]:
    """What each layer reads, and at last the output layer."""
    sizes = [config.embed_size]
    for _ in range(config.num_layers):
        sizes.append(config.hidden_size + (sizes[-1] if config.connections == "dense" else 0))
    return sizes


class OutputLayer(nn.Module):
    """The bias of an output layer, and its matrix unless that is the embedding's.

    Args:
        size (int): what it reads.
        vocab_size (int): tokens.
        tied (bool): whether the matrix is left out.
    """

    def __init__(self, size: int, vocab_size: int, *, tied: bool) -> None:
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocab_size, size))
        self.bias = nn.Parameter(torch.empty(vocab_size))


class TokenLayers(nn.Module):
    """What language models share around their layers: embedding, norms, dropout, output layer.

    Args:
        config (RecurrentConfig): sizes.
        vocab_size (int): how many tokens there are.
    """

    context: ClassVar[None] = None
    """There is no bound to how many tokens are read at once."""

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        *_, top = sizes = widths(config)
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        # One before each layer but the first, whose input is a row of a table, and one before the output layer.
        self.norms = nn.ModuleList(nn.LayerNorm(size) if config.layer_norm else nn.Identity() for size in sizes[1:])
        # With one matrix for both, the output layer reads what is as wide as an embedding.
        self.project = nn.Linear(top, config.embed_size, bias=False) if config.tied else nn.Identity()
        self.output = OutputLayer(top, vocab_size, tied=config.tied)
        self.embed_dropout = Dropout(config.embed_dropout, variational=config.variational)
        self.dropout = Dropout(config.dropout, variational=config.variational)

    @property
    def embedding_std(self) -> float:
        """Of the values of an untrained embedding; a matrix that is also the output layer's has to be small."""
        return TIED_STD if self.config.tied else EMBEDDING_STD

    def initialise(self) -> None:
        """Set the weights before training.

        Embeddings and input matrices wide, so that from the first step on different tokens drive the gates to different
        places: PyTorch's own initialisation hardly tells them apart, and learns half as fast here. The output layer
        small, so that the loss begins near log(vocab_size), but not zero: a zero output layer passes no gradient down,
        and the run never quite makes up for the steps that this costs (0.05 nats on tiny Shakespeare).
        """
        nn.init.normal_(self.embedding.weight, std=self.embedding_std)
        top = self.project.weight if isinstance(self.project, nn.Linear) else self.output_matrix
        bound = top.shape[1] ** -0.5
        nn.init.uniform_(top, -bound, bound)
        nn.init.zeros_(self.output.bias)

    @property
    def output_matrix(self) -> Tensor:
        """The output layer's matrix, `(vocab, size)`, which may be the embedding's."""
        return self.embedding.weight if self.output.weight is None else self.output.weight

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.output.bias.device

    def embed(self, tokens: Tensor) -> Tensor:
        """Vectors `(..., embed)` of tokens."""
        return functional.embedding(tokens, self.embedding.weight)

    def logits(self, hidden: Tensor) -> Tensor:
        """What the output layer makes, `(..., vocab)`, of what the last layer leaves."""
        return functional.linear(self.project(self.norms[-1](hidden)), self.output_matrix, self.output.bias)
