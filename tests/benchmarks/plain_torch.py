"""The peer: a recurrent language model as people write it with PyTorch, without seqgen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqgen.config import Cell, RecurrentConfig
from seqgen.train import machine

State = Tensor | tuple[Tensor, Tensor]


class PlainModel(nn.Module):
    """Embedding, one `nn.LSTM` or `nn.GRU` of several layers, a linear layer."""

    def __init__(self, config: RecurrentConfig, vocab_size: int) -> None:
        super().__init__()
        kind: type[nn.LSTM] | type[nn.GRU] = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell]
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        self.layers = kind(
            config.embed_size,
            config.hidden_size,
            num_layers=config.num_layers,
            dropout=config.dropout,
            batch_first=True,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, vocab_size)

    def forward(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        hidden, state = self.layers(self.embedding(tokens), state)
        return self.output(self.dropout(hidden)), state


def detached(state: State | None) -> State | None:
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else (state[0].detach(), state[1].detach())


CELLS: tuple[Cell, ...] = ("lstm", "gru")


def use_threads(threads: int) -> None:
    """As commands do; memory and threads are the same for all sides."""
    torch.set_num_threads(threads)
    machine.keep_memory()
