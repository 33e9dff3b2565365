"""What is inside a model: to load whichever it is, to count its parameters, to see how it knows positions."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqgen import modeldir
from seqgen.errors import ModelError
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq
from seqgen.tasks import kinds
from seqgen.tasks.kind import Kind
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.translation.model import TranslationModel

# A picture of more could not be read.
MAX_POSITIONS = 256


def load(name: str, device: torch.device) -> tuple[Kind, Any]:
    """A model that has something to show, by path or name, and its kind.

    Raises:
        ModelError: no such model, or it is damaged, or of a kind that has nothing to show.
    """
    directory = modeldir.locate(name)
    task = modeldir.read_config(directory).task
    kind = kinds.of(task)
    if kind is None or kind.attention is None:
        shown = " and ".join(kind.called for kind in kinds.KINDS if kind.attention)
        raise ModelError(f"{directory} is a model for {reprlib.repr(task)}: only {shown} can be inspected")
    return kind, kind.load(name, device)


def parameters_by_part(network: nn.Module) -> Mapping[str, int]:
    """How many parameters each part of a network has, in the order in which they are declared.

    Equal parts of several layers count together: `decoder.layers.1.attention.query.weight` belongs to
    `decoder attention`.
    """
    parts: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        *path, leaf = (word for word in name.split(".") if not word.isdigit())
        inner = [word for word in path if word != "layers"] or path
        part = " ".join(inner[:2]) or leaf.removesuffix("_weight").removesuffix("_bias")
        parts[part] = parts.get(part, 0) + parameter.numel()
    return parts


@dataclass(frozen=True)
class PositionMatrix:
    """How a Transformer tells positions apart.

    Args:
        kind (str): sinusoidal, learned or rotary.
        legend (str): what rows and columns are.
        values (Tensor): `(positions, values)`.
    """

    kind: str
    legend: str
    values: Tensor


@torch.inference_mode()
def position_matrix(model: LanguageModel | TranslationModel) -> PositionMatrix:
    """The matrix of a model's first positions, at most `MAX_POSITIONS`.

    Of rotary positions it holds the cosines of the angles.

    Raises:
        ModelError: it has none.
    """
    network = model.network
    if not isinstance(network, TransformerNetwork | TransformerSeq2Seq):
        raise ModelError(f"{model.directory} is recurrent: its state alone knows positions")
    positions = network.positions
    places = torch.arange(min(network.config.context, MAX_POSITIONS), device=network.device)
    if (turn := positions.rotation(places)) is not None:
        return PositionMatrix(positions.kind, "rows: positions · columns: pairs of a head's values, cosines", turn[0])
    if (added := positions.added(places)) is not None:
        return PositionMatrix(positions.kind, "rows: positions · columns: values added to the embedding", added)
    raise ModelError(f"{model.directory} was trained without positions: there are none to show")
