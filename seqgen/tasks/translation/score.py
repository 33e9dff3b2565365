"""How probable given targets are: forced decoding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from seqgen.data.batching import in_batches
from seqgen.decode.step import checked
from seqgen.tasks.translation.model import TranslationModel


@dataclass(frozen=True)
class Scored:
    """A given target and how probable it is.

    Args:
        source (str): the line.
        target (str): the line.
        tokens (tuple[str, ...]): the target's pieces, the end symbol last.
        log_probs (tuple[float, ...]): of each, in nats, given the source and those before it.
        unseen (tuple[str, ...]): characters of both lines that the model has never seen, as often as they stand there.
    """

    source: str
    target: str
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]
    unseen: tuple[str, ...]


def force_decode(model: TranslationModel, pairs: Iterable[tuple[str, str]], batch_size: int) -> Iterator[Scored]:
    """Score given targets, in order, some at a time; empty sides are scored like any other.

    What comes before a pair that cannot be read is scored first.

    Raises:
        NonFiniteError: the network overflows.
    """
    for batch in in_batches(pairs, batch_size):
        yield from _force_batch(model, batch)


@torch.inference_mode()
def _force_batch(model: TranslationModel, batch: list[tuple[str, str]]) -> list[Scored]:
    target = model.target_tokenizer
    targets = [target.encode(text) for _, text in batch]
    given, said, where = model.target_tensors(targets)
    sources = model.source_tensors([model.source_tokenizer.encode(text) for text, _ in batch])
    log_probs = checked(model.network(*sources, given, where).log_softmax(dim=-1))
    chosen = torch.split(log_probs.gather(1, said[where][:, None])[:, 0], where.sum(dim=1).tolist())
    return [
        Scored(
            source=texts[0],
            target=texts[1],
            tokens=tuple(map(target.piece, [*ids.tolist(), target.eos_id])),
            log_probs=tuple(values.tolist()),
            unseen=tuple(model.unseen(*texts)),
        )
        for texts, ids, values in zip(batch, targets, chosen, strict=True)
    ]
