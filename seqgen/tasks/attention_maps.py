"""What a model attends to: its attention weights while it reads a text, or a source and a target.

The network runs as in training, over whole sequences, and hooks watch its attention from outside: nothing in
`seqgen.nets` is written for this. `seqgen.figures.attention_maps_png` draws the maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seqgen.data.piece_training import SPACE
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import TokenIds, Tokenizer
from seqgen.decode.step import no_probabilities
from seqgen.errors import DataError, ModelError
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.transformer.attention import MultiHeadAttention, attention_weights
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.translation.model import TranslationModel, TranslationNetwork
from seqgen.tasks.translation.translate import Translator
from seqgen.wording import counted

# A picture of more could not be read.
MAX_TOKENS = 256

Watched = Mapping[nn.Module, list[Tensor]]
"""Weights call by call: `(batch, heads, rows, columns)`, or `(batch, rows, columns)` of an attention without heads."""

_Tokens = Literal["text", "source", "written", "before"]
_MEANING: Mapping[_Tokens, str] = {
    "text": "tokens",
    "source": "source tokens",
    "written": "the target token being written",
    "before": "the target tokens before it",
}


@dataclass(frozen=True)
class AttentionMaps:
    """The maps of one kind of attention, all of the same tokens.

    Args:
        kind (str): such as `cross-attention`.
        legend (str): what its rows and columns are.
        rows (tuple[str, ...]): the tokens that attend.
        columns (tuple[str, ...]): the tokens that they attend to.
        weights (Tensor): `(layers, heads, rows, columns)`; rows sum to one.
    """

    kind: str
    legend: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: Tensor


@dataclass(frozen=True)
class _Kind:
    """One kind of attention in a network: what attends to what, in which module of each layer."""

    name: str
    rows: _Tokens
    columns: _Tokens
    layers: Sequence[nn.Module]

    def maps(self, tokens: Mapping[_Tokens, tuple[str, ...]], watched: Watched) -> AttentionMaps:
        """The maps of it, with one sequence in the batch; calls for one row each become one map."""
        layers = [torch.cat(watched[layer], dim=-2)[0] for layer in self.layers]
        weights = torch.stack([layer if layer.ndim == 3 else layer[None] for layer in layers])
        if not bool(weights.isfinite().all()):
            raise no_probabilities()
        legend = f"rows: {_MEANING[self.rows]} · columns: {_MEANING[self.columns]}"
        return AttentionMaps(self.name, legend, tokens[self.rows], tokens[self.columns], weights)


@contextmanager
def watched(modules: Sequence[nn.Module]) -> Iterator[Watched]:
    """Write down the attention weights of all calls of some modules.

    Args:
        modules (Sequence[nn.Module]): each a `MultiHeadAttention` of a Transformer, or an `Attention` of a recurrent
            decoder, which returns its weights itself.
    """
    weights: dict[nn.Module, list[Tensor]] = {module: [] for module in modules}

    def write_down(module: nn.Module, given: tuple[Any, ...], returned: Any) -> None:
        weights[module].append(attention_weights(*given) if isinstance(module, MultiHeadAttention) else returned[1])

    handles = [module.register_forward_hook(write_down) for module in modules]
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def language_maps(model: LanguageModel, text: str) -> list[AttentionMaps]:
    """What each token of a text attends to.

    Raises:
        ModelError: the network is recurrent.
        DataError: the text is empty, or longer than what the network reads at once.
        NonFiniteError: the network overflows.
    """
    network = model.network
    if not isinstance(network, TransformerNetwork):
        raise ModelError(f"{model.directory} is no Transformer: there is no attention to show")
    ids = model.tokenizer.encode(text)
    _check("the text", ids, 1, min(MAX_TOKENS, network.context))
    kind = _Kind("self-attention", "text", "text", [layer.attention for layer in network.decoder])
    with watched(kind.layers) as weights:
        network(torch.from_numpy(ids)[None].to(network.device), network.initial_state(1))
    return [kind.maps({"text": pieces(model.tokenizer, ids)}, weights)]


@torch.inference_mode()
def translation_maps(model: TranslationModel, source: str, target: str | None = None) -> list[AttentionMaps]:
    """What the tokens of a source and a target attend to.

    Args:
        model (TranslationModel): in evaluation mode.
        source (str): a sentence.
        target (str | None): another; None: the model's own translation by beam search.

    Raises:
        ModelError: the model has no attention.
        DataError: a sentence is empty or too long.
        NonFiniteError: the network overflows.
    """
    if not model.network.attends:
        raise ModelError(f"{model.directory} was trained without attention: there is none to show")
    source_ids = model.source_tokenizer.encode(source)
    _check("the sentence", source_ids, 1, MAX_TOKENS)
    target_ids = _translated(model, source) if target is None else model.target_tokenizer.encode(target)
    _check("the target", target_ids, 0, MAX_TOKENS)
    read, lengths = model.source_tensors([source_ids])
    given, said, wanted = model.target_tensors([target_ids])
    kinds = _kinds(model.network)
    with watched([layer for kind in kinds for layer in kind.layers]) as weights:
        model.network(read, lengths, given, wanted)
    tokens: dict[_Tokens, tuple[str, ...]] = {
        "source": pieces(model.source_tokenizer, read[0].numpy(force=True)),
        "written": pieces(model.target_tokenizer, said[0].numpy(force=True)),
        "before": pieces(model.target_tokenizer, given[0].numpy(force=True)),
    }
    return [kind.maps(tokens, weights) for kind in kinds]


def _kinds(network: TranslationNetwork) -> list[_Kind]:
    if isinstance(network, Seq2Seq):
        assert network.attention is not None
        return [_Kind("attention", "written", "source", [network.attention])]
    crossing = [layer.cross for layer in network.decoder if layer.cross is not None]
    return [
        _Kind("encoder self-attention", "source", "source", [layer.attention for layer in network.encoder]),
        _Kind("decoder self-attention", "written", "before", [layer.attention for layer in network.decoder]),
        _Kind("cross-attention", "written", "source", crossing),
    ]


def _check(what: str, ids: TokenIds, least: int, most: int) -> None:
    if not least <= len(ids) <= most:
        raise DataError(f"{what} has {counted(len(ids), 'token')}; maps show {least} to {most}")


def _translated(model: TranslationModel, source: str) -> TokenIds:
    (translation,) = Translator([model]).stream([source])
    return np.asarray(translation.outputs[0].hypothesis.token_ids, dtype=np.int64)


def pieces(tokenizer: Tokenizer, ids: TokenIds) -> tuple[str, ...]:
    """Tokens as they are shown: spaces as U+2581, what cannot be printed escaped."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tuple(map(tokenizer.piece, ids.tolist()))
    characters = (tokenizer.token_bytes[i].decode().replace(" ", SPACE) for i in ids.tolist())
    return tuple(c if c.isprintable() else c.encode("unicode_escape").decode() for c in characters)
