"""The steps of networks without a causal mask: for each new token, all are read again.

Such a network looks ahead: a token that is added changes what those before it are, in every layer, so that nothing of
them can be kept (`seqgen.nets.stepping.cache`). What comes next is what the network itself says at the last token of
what there is so far. That is not what it was trained for, as it saw the token to predict: it shows what the mask is
good for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.nets.stepping.transformer import rows_of
from seqgen.nets.transformer.layers import KeysValues, attention_weights

if TYPE_CHECKING:
    from seqgen.nets.transformer.language_model import TransformerNetwork
    from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq


class WholeTextStep:
    """The `Step` of a language model; its state is the tokens that it sees, `(rows, time)`.

    When its context is full it goes on with the latter half of it, as `seqgen.nets.stepping.transformer.TextStep` does.

    Args:
        network (TransformerNetwork): in evaluation mode; it is shared, not copied.
    """

    def __init__(self, network: TransformerNetwork) -> None:
        self._network = network

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read prompts `(batch, time)`; log-probabilities `(batch, vocab)` of what follows, and what was read."""
        tokens = tokens[:, -self._network.context :]
        logits, _ = self._network(tokens, self._network.initial_state(len(tokens)))
        return logits[:, -1].log_softmax(dim=-1), tokens

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        seen, context = torch.cat((state, tokens[:, None]), dim=1), self._network.context
        return self.start(seen if seen.shape[1] <= context else seen[:, -max(1, context // 2) :])

    def reorder(self, state: Tensor, index: Tensor) -> Tensor:
        """The state of the rows `index`."""
        return state[index]

    def join(self, states: Sequence[Tensor]) -> Tensor:
        """All rows of several states of texts of one length."""
        return torch.cat(list(states))


@dataclass(frozen=True)
class TargetState:
    """Where some hypotheses stand, one row each.

    Args:
        tokens (Tensor): all that they were given, `(rows, time)`, padded at the end.
        lengths (Tensor): how many these are, `(rows,)`.
        sentence (Tensor): which source each row translates, `(rows,)`.
        memory (Sequence[KeysValues]): of all sources, for each layer.
        looks (Tensor | None): what the last token paid to each source token, `(rows, source)`.
    """

    tokens: Tensor
    lengths: Tensor
    sentence: Tensor
    memory: Sequence[KeysValues]
    looks: Tensor | None = None


class WholeTargetStep:
    """The `Step` of an encoder-decoder.

    Args:
        network (TransformerSeq2Seq): in evaluation mode; it is shared, not copied.
        dtype (torch.dtype | None): of its products, None: the weights' own.
    """

    def __init__(self, network: TransformerSeq2Seq, dtype: torch.dtype | None = None) -> None:
        self._network, self._dtype = network, dtype

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
        memory = [rows_of(seen, state.sentence) for seen in state.memory]
        asked: list[Tensor] = []

        def write_down(module: Any, queries_and_memory: tuple[Tensor, KeysValues]) -> None:
            asked.append(queries_and_memory[0])

        *_, highest = network.decoder
        assert highest.cross is not None  # a decoder has cross-attention
        handle = highest.cross.register_forward_pre_hook(write_down)
        with self._precision():
            hidden = network.decode(given, memory, mask)
        handle.remove()
        rows = torch.arange(len(given), device=given.device)
        logits = network.logits(hidden[rows, last].to(network.output_bias.dtype))
        looks = attention_weights(asked[0][rows, :, last][:, :, None], memory[-1])[:, :, 0].mean(dim=1)
        return logits.log_softmax(dim=-1), replace(state, tokens=given, lengths=lengths, looks=looks)

    def _precision(self) -> torch.autocast:
        low = self._dtype == torch.bfloat16
        return torch.autocast(self._network.device.type, dtype=torch.bfloat16, enabled=low)

    def reorder(self, state: TargetState, index: Tensor) -> TargetState:
        """The state of the rows `index`; the memory stays where it is."""
        looks = None if state.looks is None else state.looks[index]
        tokens, lengths, sentence = state.tokens[index], state.lengths[index], state.sentence[index]
        return replace(state, tokens=tokens, lengths=lengths, sentence=sentence, looks=looks)

    def join(self, states: Sequence[TargetState]) -> TargetState:
        """All rows of several states of the same sources."""
        longest = max(state.tokens.shape[1] for state in states)
        looks = [state.looks for state in states if state.looks is not None]
        return replace(
            states[0],
            tokens=torch.cat([functional.pad(s.tokens, (0, longest - s.tokens.shape[1])) for s in states]),
            lengths=torch.cat([state.lengths for state in states]),
            sentence=torch.cat([state.sentence for state in states]),
            looks=torch.cat(looks) if looks else None,
        )

    def attention(self, state: TargetState) -> Tensor | None:
        """What the last token of each row paid to each source token, `(rows, source)`: the last layer's heads' mean."""
        return state.looks
