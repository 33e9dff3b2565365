"""How good a language model is: the mean negative log-probability per token of a text, in nats.

A recurrent network reads the text in one pass with carried state. A Transformer reads it in windows as long as its
context, each half a context further than the one before, and is asked for the new half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqgen.data.corpus import TokenSpan
from seqgen.data.tokenizers import Tokenizer
from seqgen.nets.recurrent import RecurrentNetwork
from seqgen.nets.transformer_lm import TransformerNetwork
from seqgen.nets.window import WindowNetwork
from seqgen.tasks.networks import LanguageNetwork

# With several lanes, each first reads this much of the text before it, uncounted.
WARM_UP_TOKENS = 128
WINDOWS_AT_ONCE = 16

Predictions = Iterator[tuple[Tensor, NDArray[np.integer]]]
"""Logits `(rows, time, vocab)`, and the tokens `(rows, time)` that came."""


def char_counts(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many characters each token brings, `(vocab,)`: the bytes that do not continue a character."""
    counts = [sum(byte & 0xC0 != 0x80 for byte in piece) for piece in tokenizer.token_bytes]
    return np.asarray(counts, dtype=np.int64)


@torch.inference_mode()
def evaluate(
    network: LanguageNetwork,
    span: TokenSpan,
    counts: NDArray[np.int64],
    *,
    lanes: int = 1,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda tokens: None,
) -> dict[str, float] | None:
    """How well a network predicts each token of a text from those before it.

    A recurrent network with one lane makes a single sequential pass with carried state, exact to rounding: the figure
    to report. With more it is faster, and each lane begins with a state that has seen only `WARM_UP_TOKENS` of what is
    before it; fewer tokens than lanes at the end are left out. A Transformer predicts every token from at least half
    its context, or from the beginning of the text.

    Args:
        network (LanguageNetwork): in evaluation mode.
        span (TokenSpan): at least two tokens; the first is given, not predicted.
        counts (NDArray[np.int64]): characters per token, from `char_counts`.
        lanes (int): in how many parallel parts a recurrent network reads the text.
        stop (Callable[[], bool]): looked at now and then; true ends the pass.
        advance (Callable[[int], None]): told how many more tokens were predicted.

    Returns:
        dict[str, float] | None: `loss` in nats per token, `bits_per_char`, `perplexity` per token, `tokens` and
        `chars` predicted; None when stopped.
    """
    predictions = (
        _windowed(network, span) if isinstance(network, TransformerNetwork) else _carried(network, span, lanes)
    )
    nats, tokens, chars = 0.0, 0, 0
    for logits, targets in predictions:
        if stop():
            return None
        wanted = torch.from_numpy(targets).to(logits.device)
        nats += functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum").item()
        tokens += targets.size
        chars += int(counts[targets].sum())
        advance(targets.size)
    loss = nats / tokens
    return {
        "loss": loss,
        "bits_per_char": nats / math.log(2) / max(1, chars),
        "perplexity": math.exp(min(loss, 700.0)),
        "tokens": tokens,
        "chars": chars,
    }


def _carried(network: RecurrentNetwork | WindowNetwork, span: TokenSpan, lanes: int) -> Predictions:
    """Read with carried state, in parallel lanes."""
    lanes = max(1, min(lanes, len(span) // (2 * WARM_UP_TOKENS)))
    warm = WARM_UP_TOKENS if lanes > 1 else 0
    length, width = (len(span) - 1) // lanes, 1024 if lanes == 1 else 256
    state = network.initial_state(lanes)
    for begin in range(-warm, length, width):
        size = min(width, length - begin)
        tokens = span.read_circular((lane * length + begin for lane in range(lanes)), size + 1)
        logits, state = network(torch.from_numpy(tokens[:, :-1]).to(network.device), state)
        skip = max(0, -begin)
        yield logits[:, skip:], tokens[:, 1 + skip :]


def _windowed(network: TransformerNetwork, span: TokenSpan) -> Predictions:
    """Read in overlapping windows: the first is asked for all its tokens, the others for their latter half."""
    context, end = network.context, len(span) - 1
    new = max(1, context // 2)
    yield _window(network, span, [0], min(context, end), 0)
    seen = context - new
    begins = range(context - seen, end - seen, new)
    whole = [begin for begin in begins if begin + context <= end]
    for first in range(0, len(whole), WINDOWS_AT_ONCE):
        yield _window(network, span, whole[first : first + WINDOWS_AT_ONCE], context, seen)
    for begin in begins[len(whole) :]:
        yield _window(network, span, [begin], end - begin, seen)


def _window(
    network: TransformerNetwork, span: TokenSpan, begins: list[int], size: int, skip: int
) -> tuple[Tensor, NDArray[np.integer]]:
    tokens = span.read_circular(begins, size + 1)
    inputs = torch.from_numpy(tokens[:, :-1]).to(network.device)
    logits, _ = network(inputs, network.initial_state(len(inputs)))
    return logits[:, skip:], tokens[:, 1 + skip :]
