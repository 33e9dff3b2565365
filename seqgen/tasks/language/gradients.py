"""How the gradient of a language model's loss comes back through time, at some places of a text."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from seqgen.data.corpus import TokenSpan, open_text, spool
from seqgen.errors import DataError, ModelError
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.unrolled import UnrolledLayer, unroll
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.seeds import derive
from seqgen.tasks.gradient_flow import LayerFlow, flows
from seqgen.tasks.language.model import LanguageModel

WINDOWS, WARM_UP_TOKENS = 64, 128


def text_flow(
    model: LanguageModel, paths: Sequence[str], max_distance: int, warn: Callable[[str], None]
) -> list[LayerFlow]:
    """See `seqgen.tasks.kind.Kind`: of the loss of predicting a token.

    Raises:
        ModelError: the network is not recurrent.
        DataError: the text is too short for this.
    """
    network = model.network
    if not isinstance(network, RecurrentNetwork):
        kind = "a window" if isinstance(network, WindowNetwork) else "a Transformer"
        raise ModelError(f"{model.directory} is {kind}: it has no state that a gradient comes back through")
    with tempfile.TemporaryDirectory() as folder:
        files = [spool(path, Path(folder, f"input-{i}.txt")) for i, path in enumerate(paths)]
        return gradient_flow(network, open_text(files, model.tokenizer, Path(folder), warn=warn), max_distance)


def gradient_flow(network: RecurrentNetwork, span: TokenSpan, max_distance: int) -> list[LayerFlow]:
    """The gradient of every layer, the lowest first, at `WINDOWS` places of a text.

    Each place is one t. Before the steps that are measured, the network reads `WARM_UP_TOKENS`, so that its state is
    one that it has in use. The same text gives the same numbers.

    Args:
        network (RecurrentNetwork): in evaluation mode.
        span (TokenSpan): the text.
        max_distance (int): how many steps back, at least `seqgen.config.LEAST_DISTANCE`.

    Raises:
        DataError: the text is too short for this.
    """
    window = max_distance + 2  # the states at all distances, and the token that is predicted
    if len(span) < window:
        raise DataError(f"the text has {len(span)} tokens: {max_distance} steps back need {window}")
    generator = torch.Generator().manual_seed(derive(0, "gradient windows"))
    begins = torch.randint(len(span) - window + 1, (WINDOWS,), generator=generator) - WARM_UP_TOKENS
    tokens = torch.from_numpy(span.read_circular(begins.tolist(), WARM_UP_TOKENS + window))
    tokens = tokens.to(network.device)
    with torch.no_grad():
        _, state = network(tokens[:, :WARM_UP_TOKENS], network.initial_state(WINDOWS))
    chunk = tokens[:, WARM_UP_TOKENS:]
    return flows(*last_loss(network, chunk[:, :-1], chunk[:, -1], state), network.cell, generator)


def last_loss(
    network: RecurrentNetwork, tokens: Tensor, target: Tensor, state: Tensor
) -> tuple[Tensor, list[UnrolledLayer]]:
    """The sum of the losses of the last prediction of each sequence, and every state that it was computed from.

    Args:
        network (RecurrentNetwork): its weights get no gradient.
        tokens (Tensor): `(batch, time)`.
        target (Tensor): what comes after them, `(batch,)`.
        state (Tensor): where the sequences stand before, `(num_layers, parts, batch, hidden)`.
    """
    logits, layers = unroll(network, tokens, state)
    # Sequences do not meet, so the gradient of the sum is that of each by itself.
    return functional.cross_entropy(logits[:, -1], target, reduction="sum"), layers
