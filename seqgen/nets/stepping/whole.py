"""The steps of networks without a causal mask: for each new token, all are read again.

Such a network reads ahead: a token that is added changes what those before it are, in every layer, so that nothing of
them can be kept (`seqgen.nets.stepping.cache`). What comes next is what the network itself says at the last token of
what there is so far. That is not what it was trained for, as it read the token to predict: it shows what the mask is
good for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.transformer.attention import KeysValues, attention_weights
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq


class WholeTextStep:
    """The `Step` of a language model; its state is the tokens of its context, `(rows, time)`.

    When its context is full it goes on with the latter half of it, as `seqgen.nets.stepping.transformer.TextStep` does.

    Args:
        network (TransformerNetwork): is copied.
    """

    def __init__(self, network: TransformerNetwork) -> None:
        self._network = copy.deepcopy(network).eval()

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read prompts `(batch, time)`; log-probabilities `(batch, vocab)` of what follows, and what was read."""
        tokens = tokens[:, -self._network.context :]
        logits, _ = self._network(tokens, self._network.initial_state(len(tokens)))
        return logits[:, -1].log_softmax(dim=-1), tokens

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        read, context = torch.cat((state, tokens[:, None]), dim=1), self._network.context
        return self.start(read if read.shape[1] <= context else read[:, -max(1, context // 2) :])

    def reorder(self, state: Tensor, index: Tensor) -> Tensor:
        """The state of the rows `index`, `(new_rows,)`."""
        return state[index]

    def join(self, states: Sequence[Tensor]) -> Tensor:
        """All rows of several states `(rows, time)` of texts of one length."""
        return torch.cat(list(states))


@dataclass(frozen=True)
class TargetState:
    """Where some hypotheses stand, one row each.

    Args:
        tokens (Tensor): all that they were given, `(rows, time)`, padded at the end.
        lengths (Tensor): how many these are, `(rows,)`.
        sentence (Tensor): which source each row translates, `(rows,)`.
        memory (Sequence[KeysValues]): of all sources, for each layer.
        attention (Tensor | None): what the last token paid to each source token, `(rows, source)`.
    """

    tokens: Tensor
    lengths: Tensor
    sentence: Tensor
    memory: Sequence[KeysValues]
    attention: Tensor | None = None


class WholeTargetStep:
    """The `Step` of an encoder-decoder.

    Args:
        network (TransformerSeq2Seq): is copied.
        dtype (torch.dtype | None): of its products, None: the weights' own.
    """

    def __init__(self, network: TransformerSeq2Seq, dtype: torch.dtype | None = None) -> None:
        self._network, self._dtype = copy.deepcopy(network).eval(), dtype

    @torch.inference_mode()
    def start(self, source: Tensor, lengths: Tensor) -> TargetState:
        """Read sources, `(batch, source)` and `(batch,)` as for the network's `encode`; one row for each."""
        rows = torch.arange(len(source), device=source.device)
        with self._precision():
            memory = self._network.encode(source, lengths)
        return TargetState(source[:, :0], torch.zeros_like(rows), rows, memory)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: TargetState) -> tuple[Tensor, TargetState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        network, last, lengths = self._network, state.lengths, state.lengths + 1
        room = int(lengths.max()) - state.tokens.shape[1] if len(lengths) else 0
        given = functional.pad(state.tokens, (0, max(0, room))).scatter(1, last[:, None], tokens[:, None])
        mask = (torch.arange(given.shape[1], device=given.device) < lengths[:, None])[:, None, None]
        memory = [layer.of(state.sentence) for layer in state.memory]
        queries: list[Tensor] = []

        def write_down(module: Any, queries_and_memory: tuple[Tensor, KeysValues]) -> None:
            queries.append(queries_and_memory[0])

        *_, highest = network.decoder
        assert highest.cross is not None  # a decoder has cross-attention
        handle = highest.cross.register_forward_pre_hook(write_down)
        with self._precision():
            hidden = network.decode(given, memory, mask)
        handle.remove()
        rows = torch.arange(len(given), device=given.device)
        logits = network.logits(hidden[rows, last].to(network.output_bias.dtype))
        attention = attention_weights(queries[0][rows, :, last][:, :, None], memory[-1])[:, :, 0].mean(dim=1)
        return logits.log_softmax(dim=-1), replace(state, tokens=given, lengths=lengths, attention=attention)

    def _precision(self) -> torch.autocast:
        low = self._dtype == torch.bfloat16
        return torch.autocast(self._network.device.type, dtype=torch.bfloat16, enabled=low)

    def reorder(self, state: TargetState, index: Tensor) -> TargetState:
        """The state of the rows `index`, `(new_rows,)`; the memory stays where it is."""
        attention = None if state.attention is None else state.attention[index]
        tokens, lengths, sentence = state.tokens[index], state.lengths[index], state.sentence[index]
        return replace(state, tokens=tokens, lengths=lengths, sentence=sentence, attention=attention)

    def join(self, states: Sequence[TargetState]) -> TargetState:
        """All rows of several states of the same sources."""
        longest = max(state.tokens.shape[1] for state in states)
        attention = [state.attention for state in states if state.attention is not None]
        return replace(
            states[0],
            tokens=torch.cat([functional.pad(s.tokens, (0, longest - s.tokens.shape[1])) for s in states]),
            lengths=torch.cat([state.lengths for state in states]),
            sentence=torch.cat([state.sentence for state in states]),
            attention=torch.cat(attention) if attention else None,
        )

    def attention(self, state: TargetState) -> Tensor | None:
        """What the last token of each row paid to each source token, `(rows, source)`: the last layer's heads' mean."""
        return state.attention
