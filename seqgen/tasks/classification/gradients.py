"""How the gradient of a classifier's loss comes back through time, from the last token of some labelled texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from seqgen.config import LEAST_DISTANCE, LabelledTextConfig
from seqgen.data.labelled import Example
from seqgen.data.labelled_corpus import read_examples
from seqgen.data.spread import spread
from seqgen.data.text import shown_name
from seqgen.errors import DataError, ModelError
from seqgen.nets.recurrent.encoder import RecurrentEncoder
from seqgen.nets.recurrent.unrolled import unroll_encoder
from seqgen.seeds import derive
from seqgen.tasks.classification.model import ClassifierModel, tensors
from seqgen.tasks.gradient_flow import LayerFlow, flows

TEXTS = 64
# So many of the first texts are looked through for long ones.
MOST_READ = 20_000


def label_flow(
    model: ClassifierModel, paths: Sequence[str], max_distance: int, warn: Callable[[str], None]
) -> list[LayerFlow]:
    """See `seqgen.tasks.kind.Kind`: of the loss of a text's label, or of that of its last word.

    Of texts that are long enough `TEXTS` are taken, and of each its last tokens, as if it began there; where no text is
    as long as is wanted, the distance is that of the longest ones. The states are those of the forward direction.

    Raises:
        ModelError: the network is a Transformer.
        DataError: the texts are too short, or none has a label that the model knows.
    """
    network, encoder = model.network, model.network.layers
    if not isinstance(encoder, RecurrentEncoder) or network.config.cell == "transformer":
        raise ModelError(f"{model.directory} is a Transformer: it has no state that a gradient comes back through")
    examples = _examples(model, paths)
    inputs = model.reader.read([example.text for example in examples])
    # Of a text in several rows the last one is read: a label of a word is that of its last word.
    rows = np.flatnonzero(np.diff(inputs.owners, append=len(examples)))
    lengths = inputs.lengths[rows]
    enough = np.sort(lengths)[-min(TEXTS, len(lengths))]
    distance = int(min(max_distance, enough - 1))
    if distance < LEAST_DISTANCE:
        raise DataError(f"the longest texts have {enough} tokens: at least {LEAST_DISTANCE + 1} are needed")
    if distance < max_distance:
        warn(f"the longest texts have {enough} tokens: looked at {distance} steps back")
    long = np.flatnonzero(lengths > distance)
    chosen = long[spread(len(long), TEXTS)]
    window = (lengths[chosen] - distance - 1)[:, None] + np.arange(distance + 1)
    tokens, _, spelling = tensors(inputs, network.device)
    place = torch.from_numpy(rows[chosen])[:, None].to(network.device), torch.from_numpy(window).to(network.device)
    if spelling is not None:
        spelling = spelling._replace(places=spelling.places[place])
    with torch.no_grad():
        vectors = network.vectors(tokens[place], spelling)
    values, last, layers = unroll_encoder(encoder, network.config.cell, vectors)
    logits = network.judge(values, last, torch.full((len(chosen),), distance + 1))
    wanted = torch.tensor([model.classes.index(examples[i].labels[-1]) for i in chosen.tolist()])
    loss = functional.cross_entropy(
        logits[:, -1] if model.reader.per_token else logits, wanted.to(network.device), reduction="sum"
    )
    generator = torch.Generator().manual_seed(derive(0, "gradient texts"))
    return flows(loss, layers, network.config.cell, generator)


def _examples(model: ClassifierModel, paths: Sequence[str]) -> list[Example]:
    """Texts whose last label the model knows."""
    config = LabelledTextConfig(paths=tuple(paths), per_token=model.reader.per_token)
    found = []
    for example in read_examples(config, tuple(paths), tuple(map(shown_name, paths))):
        if example.text and example.labels and example.labels[-1] in model.classes:
            found.append(example)
        if len(found) == MOST_READ:
            break
    if not found:
        raise DataError(f"{', '.join(paths)}: no text with a label that {model.directory} knows")
    return found
