"""How good a language model is: the mean negative log-probability per token of a text, in nats.

A recurrent network reads the text in one pass with carried state. A Transformer reads it in windows as long as its
context, each half a context further than the one before, and is asked for the new half.

Either may go on learning while it reads (`evaluate_dynamically`): each part of the text is predicted first, and only
then learnt from. What a text repeats, its names and its manner, is then known by the time it comes again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqgen.data.corpus import TokenSpan
from seqgen.data.spread import spread
from seqgen.decode.step import no_probabilities
from seqgen.errors import NonFiniteError
from seqgen.tasks.language.model import LanguageNetwork

# With several lanes, each first reads this much of the text before it, uncounted.
WARM_UP_TOKENS = 128
WINDOWS_AT_ONCE = 16
# Tokens that a recurrent network reads at once, and between two steps of dynamic evaluation.
PASS_TOKENS, LANE_TOKENS, DYNAMIC_TOKENS = 1024, 256, 20


def unknown_warning(unknown: int, tokens: int) -> str:
    """What the loss of a text with so many unknown tokens does not say."""
    return (
        f"{unknown} of {tokens} tokens are unknown to the model, which only says that they are unknown, not what they "
        "are: do not compare these figures with those of another vocabulary"
    )


Predictions = Iterator[tuple[Tensor, NDArray[np.integer]]]
"""Logits `(rows, time, vocab)`, and the tokens `(rows, time)` that came."""


@torch.inference_mode()
def evaluate(
    network: LanguageNetwork,
    span: TokenSpan,
    *,
    lanes: int = 1,
    most: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda tokens: None,
) -> dict[str, float] | None:
    """How well a network predicts each token of a text from those before it.

    A recurrent network with one lane makes a single sequential pass with carried state, exact to rounding: the figure
    to report. With more it is faster, and each lane begins with a state that has read only `WARM_UP_TOKENS` of what is
    before it; fewer tokens than lanes at the end are left out. A Transformer predicts every token from at least half
    its context, or from the beginning of the text.

    Args:
        network (LanguageNetwork): in evaluation mode.
        span (TokenSpan): at least two tokens; the first is given, not predicted.
        lanes (int): in how many parallel parts a recurrent network reads the text.
        most (int | None): about how many tokens to predict, evenly spread over the text: the beginning of each lane, or
            some windows of a Transformer; None for all.
        stop (Callable[[], bool]): asked now and then; true ends the pass.
        advance (Callable[[int], None]): told how many more tokens were predicted.

    Returns:
        dict[str, float] | None: `loss` in nats per token, `bits_per_char`, `perplexity` per token, `tokens` and
        `chars` of the text predicted; None when stopped.

    Raises:
        NonFiniteError: the network overflows.
    """
    lanes = max(1, min(lanes, len(span) // (2 * WARM_UP_TOKENS)))
    width = PASS_TOKENS if lanes == 1 else LANE_TOKENS
    few = most is not None and most < len(span) - 1
    predictions = _predictions(network, span, lanes, width, WINDOWS_AT_ONCE, most if few else None)
    return _judged(predictions, span, stop, advance)


def evaluate_dynamically(
    network: LanguageNetwork,
    span: TokenSpan,
    lr: float,
    *,
    advance: Callable[[int], None] = lambda tokens: None,
) -> dict[str, float]:
    """How well a network predicts a text when it goes on learning from what it has read.

    Dynamic evaluation (Mikolov et al. 2010; Krause et al. 2018, in its plain form, without decay): after each
    `DYNAMIC_TOKENS` of a recurrent network, or half a context of a Transformer, one step of plain gradient descent on
    their mean loss, w <- w - lr * dJ/dw. No token is learnt from before it was predicted.

    Args:
        network (LanguageNetwork): in evaluation mode; a copy of it learns.
        span (TokenSpan): as for `evaluate`.
        lr (float): learning rate.
        advance (Callable[[int], None]): told how many more tokens were predicted.

    Returns:
        dict[str, float]: as of `evaluate`.

    Raises:
        NonFiniteError: the learning rate is too large.
    """
    learner = copy.deepcopy(network).requires_grad_()
    for module in learner.modules():
        if isinstance(module, nn.RNNBase):
            module.train()  # CUDA's kernels compute no gradient in evaluation mode; these have no dropout of their own
    weights: list[Tensor] = list(learner.parameters())

    def learn(loss: Tensor) -> None:
        if not loss.isfinite():
            raise NonFiniteError(f"at learning rate {lr:g} the weights ran away", hint="a smaller one")
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-lr)

    measures = _judged(_predictions(learner, span, 1, DYNAMIC_TOKENS, 1), span, lambda: False, advance, learn)
    assert measures is not None  # nothing asks this pass to stop
    return measures


def _judged(
    predictions: Predictions,
    span: TokenSpan,
    stop: Callable[[], bool],
    advance: Callable[[int], None],
    learn: Callable[[Tensor], None] | None = None,
) -> dict[str, float] | None:
    nats, tokens = 0.0, 0
    for logits, targets in predictions:
        if stop():
            return None
        wanted = torch.from_numpy(targets).to(logits.device)
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum")
        if learn:
            learn(loss / targets.size)
        nats += loss.item()
        tokens += targets.size
        advance(targets.size)
    if not math.isfinite(nats):
        raise no_probabilities()
    loss_per_token = nats / tokens
    chars = max(1, round(tokens * span.chars_per_token))
    return {
        "loss": loss_per_token,
        "bits_per_char": nats / math.log(2) / chars,
        "perplexity": math.exp(min(loss_per_token, 700.0)),
        "tokens": tokens,
        "chars": chars,
    }


def _predictions(
    network: LanguageNetwork, span: TokenSpan, lanes: int, width: int, windows: int, most: int | None = None
) -> Predictions:
    if (context := network.context) is None:
        return _carried(network, span, lanes, width, most)
    if most is None:
        return _windowed(network, context, span, windows)
    return _some_windows(network, context, span, windows, most)


def _carried(network: LanguageNetwork, span: TokenSpan, lanes: int, width: int, most: int | None) -> Predictions:
    """Read with carried state, in parallel lanes, so many tokens at once; of each lane only its share of `most`."""
    warm, length = WARM_UP_TOKENS if lanes > 1 else 0, (len(span) - 1) // lanes
    state = network.initial_state(lanes)
    end = length if most is None else min(length, max(1, most // lanes))
    for begin in range(-warm, end, width):
        size = min(width, end - begin)
        tokens = span.read_circular((lane * length + begin for lane in range(lanes)), size + 1)
        logits, state = network(torch.from_numpy(tokens[:, :-1]).to(network.device), state.detach())
        skip = max(0, -begin)
        yield logits[:, skip:], tokens[:, 1 + skip :]


def _windowed(network: LanguageNetwork, context: int, span: TokenSpan, at_once: int) -> Predictions:
    """Read in overlapping windows: the first is asked for all its tokens, the others for their latter half."""
    end = len(span) - 1
    new = max(1, context // 2)
    yield _window(network, span, [0], min(context, end), 0)
    given = context - new
    begins = range(context - given, end - given, new)
    whole = [begin for begin in begins if begin + context <= end]
    for first in range(0, len(whole), at_once):
        yield _window(network, span, whole[first : first + at_once], context, given)
    for begin in begins[len(whole) :]:
        yield _window(network, span, [begin], end - begin, given)


def _some_windows(network: LanguageNetwork, context: int, span: TokenSpan, at_once: int, most: int) -> Predictions:
    """Some of these windows, evenly spread, all of one length and each asked for its latter half."""
    context = min(context, len(span) - 1)
    new = max(1, context // 2)
    begins = np.arange(0, len(span) - context, new)
    chosen = begins[spread(len(begins), max(1, most // new))].tolist()
    for first in range(0, len(chosen), at_once):
        yield _window(network, span, chosen[first : first + at_once], context, context - new)


def _window(
    network: LanguageNetwork, span: TokenSpan, begins: list[int], size: int, skip: int
) -> tuple[Tensor, NDArray[np.integer]]:
    tokens = span.read_circular(begins, size + 1)
    inputs = torch.from_numpy(tokens[:, :-1]).to(network.device)
    logits, _ = network(inputs, network.initial_state(len(inputs)))
    return logits[:, skip:], tokens[:, 1 + skip :]
