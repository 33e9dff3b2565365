"""What the attention of a classifier falls on: that of its pooling over a text, and that of a Transformer's layers."""

from __future__ import annotations

import torch

from seqgen.data.label_inputs import InputReader
from seqgen.data.normalization import normalize
from seqgen.data.tokenizers import WordTokenizer
from seqgen.errors import DataError, ModelError
from seqgen.nets.classifier import AttentionLayers
from seqgen.tasks.attention_maps import MAX_TOKENS, AttentionMaps, pieces, watched
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel, tensors
from seqgen.wording import counted


@torch.inference_mode()
def attended(model: ClassifierModel, text: str, target: str | None = None) -> list[AttentionMaps]:
    """The maps of a text.

    Args:
        model (ClassifierModel): in evaluation mode.
        text (str): one text.
        target (str | None): there is none.

    Raises:
        ModelError: the network has no attention.
        DataError: the text is empty or too long, or a target was given.
    """
    if target is not None:
        raise DataError("a classifier has no target", hint="leave out --target")
    network, reader = model.network, model.reader
    layers = [layer.attention for layer in network.layers.stack] if isinstance(network.layers, AttentionLayers) else []
    pool = network.pool if network.pool is not None and network.pool.kind == "attention" else None
    if not (layers or pool):
        raise ModelError(
            f"{model.directory} has no attention to show",
            hint="train one with --cell transformer, or with --pool attention",
        )
    plain = normalize(text, "sentences")
    inputs = reader.read([plain])
    if not plain or len(inputs.owners) > 1 or inputs.lengths[0] > MAX_TOKENS:
        raise DataError(f"the text has {counted(int(inputs.lengths.sum()), 'token')}; maps show 1 to {MAX_TOKENS}")
    with watched([*layers, *([pool] if pool else [])]) as weights:
        network(*tensors(inputs, network.device))
    names = _names(reader, plain)
    maps = []
    if layers:
        shown = torch.stack([weights[layer][0][0] for layer in layers])
        maps.append(AttentionMaps("self-attention", "rows: tokens · columns: tokens", names, names, shown))
    if pool:
        [found] = Labeller(model).label([text])
        answer = f"{found.labels[0][0].name} {found.labels[0][0].probability:.2f}"
        row = weights[pool][0][0][None, None, None]
        maps.append(AttentionMaps("attention pool", "columns: tokens", (answer,), names, row))
    return maps


def _names(reader: InputReader, text: str) -> tuple[str, ...]:
    if isinstance(reader.tokenizer, WordTokenizer):
        return tuple(reader.split(text)[: reader.max_length])
    return pieces(reader.tokenizer, reader.tokenizer.encode(text)[: reader.max_length])
