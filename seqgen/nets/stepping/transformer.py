"""The steps of Transformers (`seqgen.decode.step.Step`): one token for many rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqgen.nets.stepping.cache import Cache
from seqgen.nets.stepping.cached import CachedLayers
from seqgen.nets.transformer.attention import KeysValues, attention_weights


@dataclass(frozen=True)
class TextState:
    """Where some texts stand.

    Args:
        cache (Cache): of the tokens that are still in its context.
        tokens (Tensor): these tokens, `(rows, time)`.
    """

    cache: Cache
    tokens: Tensor


class TextStep:
    """The `Step` of a language model. When its context is full it goes on with the latter half of it.

    Args:
        layers (CachedLayers): the network.
        context (int): how many tokens it reads at most.
    """

    def __init__(self, layers: CachedLayers, context: int) -> None:
        self._layers, self._context = layers, context

    @torch.inference_mode()
    def start(self, tokens: Tensor) -> tuple[Tensor, TextState]:
        """Read prompts.

        Args:
            tokens (Tensor): token ids `(batch, time)`, at least one each; only the last `context` count.

        Returns:
            tuple[Tensor, TextState]: log-probabilities `(batch, vocab)` of what follows, and the state there.
        """
        tokens = tokens[:, -self._context :]
        cache = self._layers.empty(len(tokens))
        for column in tokens.t():
            log_probs, cache, _ = self._layers.advance(column, cache)
        return log_probs, TextState(cache, tokens)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: TextState) -> tuple[Tensor, TextState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        read = torch.cat((state.tokens, tokens[:, None]), dim=1)
        if read.shape[1] > self._context:
            return self.start(read[:, -max(1, self._context // 2) :])
        log_probs, cache, _ = self._layers.advance(tokens, state.cache)
        return log_probs, TextState(cache, read)

    def reorder(self, state: TextState, index: Tensor) -> TextState:
        """The state of the rows `index`, `(new_rows,)`."""
        return TextState(state.cache.rows(index), state.tokens[index])

    def join(self, states: Sequence[TextState]) -> TextState:
        """All rows of several states of texts of one length."""
        return TextState(Cache.joined([s.cache for s in states]), torch.cat([s.tokens for s in states]))


@dataclass(frozen=True)
class Sources:
    """What rows attend to: some sources, whose rows stand together, as many for each.

    Args:
        numbers (Tensor): which sources, `(sources,)`.
        memory (Sequence[KeysValues]): of these, for each layer.
    """

    numbers: Tensor
    memory: Sequence[KeysValues]


@dataclass(frozen=True)
class TranslationState:
    """Where some hypotheses stand, one row each.

    Args:
        cache (Cache): of their tokens.
        sentence (Tensor): which source each row translates, `(rows,)`.
        memory (Sequence[KeysValues]): of all sources, for each layer; rows do not copy it.
        attended (Sources): what the last step attended to, or the first one will.
        queries (Tensor | None): the last layer's to the source in the last step, `(rows, heads, head)`.
    """

    cache: Cache
    sentence: Tensor
    memory: Sequence[KeysValues]
    attended: Sources
    queries: Tensor | None = None


class TranslationStep:
    """The `Step` of a Transformer encoder-decoder.

    Args:
        layers (CachedLayers): the decoder.
        encode (Callable[[Tensor, Tensor], list[KeysValues]]): the encoder.
    """

    def __init__(self, layers: CachedLayers, encode: Callable[[Tensor, Tensor], list[KeysValues]]) -> None:
        self._layers, self._encode = layers, encode

    @torch.inference_mode()
    def start(self, source: Tensor, lengths: Tensor) -> TranslationState:
        """Read sources, `(batch, source)` and `(batch,)` as for the network's `encode`; one row for each."""
        memory = [
            replace(layer, keys=layer.keys.contiguous(), values=layer.values.contiguous())
            for layer in self._encode(source, lengths)
        ]
        rows = torch.arange(len(source), device=source.device)
        return TranslationState(self._layers.empty(len(source)), rows, memory, Sources(rows, memory))

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, state: TranslationState) -> tuple[Tensor, TranslationState]:
        """Log-probabilities `(rows, vocab)` after the last tokens `(rows,)`, and the new state."""
        attended = _sources(state)
        log_probs, cache, queries = self._layers.advance(tokens, state.cache, attended.memory)
        assert queries is not None  # a decoder has cross-attention
        queries = queries.transpose(1, 2).flatten(0, 1)
        return log_probs, replace(state, cache=cache, attended=attended, queries=queries)

    def reorder(self, state: TranslationState, index: Tensor) -> TranslationState:
        """The state of the rows `index`, `(new_rows,)`; the memory stays where it is."""
        return replace(
            state,
            cache=state.cache.rows(index),
            sentence=state.sentence[index],
            queries=None if state.queries is None else state.queries[index],
        )

    def join(self, states: Sequence[TranslationState]) -> TranslationState:
        """All rows of several states of the same sources."""
        queries = [state.queries for state in states if state.queries is not None]
        return replace(
            states[0],
            cache=Cache.joined([state.cache for state in states]),
            sentence=torch.cat([state.sentence for state in states]),
            queries=torch.cat(queries) if queries else None,
        )

    def attention(self, state: TranslationState) -> Tensor | None:
        """What the last token of each row paid to each source token, `(rows, source)`: the last layer's heads' mean."""
        if state.queries is None:
            return None
        memory = state.memory[-1].of(state.sentence)
        return attention_weights(state.queries[:, :, None], memory)[:, :, 0].mean(dim=1)


def _sources(state: TranslationState) -> Sources:
    """What the rows attend to: one copy for neighbours of one sentence, none at all if it is the same as last time."""
    numbers, counts = torch.unique_consecutive(state.sentence, return_counts=True)
    if bool((counts != counts[0]).any()):
        numbers = state.sentence
    if torch.equal(numbers, state.attended.numbers):
        return state.attended
    return Sources(numbers, [layer.of(numbers) for layer in state.memory])
