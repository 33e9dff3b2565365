"""How good a captioner is: the loss of true captions, and what its own are worth beside the true ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from seqgen.data.captioned_corpus import CaptionedPart, Frames
from seqgen.data.epochs import Indices
from seqgen.decode.step import no_probabilities
from seqgen.metrics.captions import CaptionScores, caption_scores
from seqgen.nets.recurrent.encoder import Layers
from seqgen.seeds import derive
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.model import CaptionerModel

CLIPS = 32


@dataclass(frozen=True)
class Found:
    """What a model makes of some clips.

    Args:
        loss (float): of all true captions, in nats per token.
        captions (list[str]): the model's own.
        references (list[tuple[str, ...]]): the true ones.
        scores (CaptionScores): of the model's.
    """

    loss: float
    captions: list[str]
    references: list[tuple[str, ...]]
    scores: CaptionScores


def judge(
    model: CaptionerModel,
    part: CaptionedPart,
    writer: CaptionWriter,
    stop: Callable[[], bool],
    chosen: Indices,
    advance: Callable[[int], None] = lambda clips: None,
    *,
    shuffled: bool = False,
) -> Found | None:
    """Caption clips, and compare.

    Args:
        model (CaptionerModel): it is put in evaluation mode.
        part (CaptionedPart): the clips.
        writer (CaptionWriter): how captions are searched for.
        stop (Callable[[], bool]): asked between batches; when it is true, None comes back.
        chosen (Indices): which clips.
        advance (Callable[[int], None]): told how many more clips are done.
        shuffled (bool): whether the frames of each clip come in random order: what is lost then is what order tells.

    Raises:
        NonFiniteError: the network overflows.
    """
    model.network.eval()
    nats, positions = 0.0, 0
    captions: list[str] = []
    for first in range(0, len(chosen), CLIPS):
        if stop():
            return None
        indices = chosen[first : first + CLIPS]
        clips = part.read(indices)
        if shuffled:
            clips = [_shuffled(frames, i) for frames, i in zip(clips, indices.tolist(), strict=True)]
        own, count = _loss(model, clips, [part.captions[i] for i in indices.tolist()])
        nats, positions = nats + own, positions + count
        captions += [found.outputs[0].text for found in writer.write(clips, indices.tolist())]
        advance(len(indices))
    if not math.isfinite(nats):
        raise no_probabilities()
    references = [part.captions[i] for i in chosen.tolist()]
    return Found(nats / positions, captions, references, caption_scores(captions, references))


@torch.inference_mode()
def _loss(model: CaptionerModel, clips: list[Frames], captions: list[tuple[str, ...]]) -> tuple[float, int]:
    """The sum of nats of all captions of some clips, each read once, and how many tokens these have."""
    memory, layers = model.network.encode(*model.clip_tensors(clips))
    owners = torch.from_numpy(np.repeat(np.arange(len(clips)), list(map(len, captions)))).to(model.network.device)
    token_ids = [model.tokenizer.encode(text) for own in captions for text in own]
    given, said, where = model.caption_tensors(token_ids)
    started: Layers = tuple(tuple(part[owners] for part in layer) for layer in layers)
    logits = model.network.write(memory.of(owners), started, given, where).float()
    return functional.cross_entropy(logits, said[where], reduction="sum").item(), len(logits)


def _shuffled(frames: Frames, number: int) -> Frames:
    generator = np.random.Generator(np.random.PCG64(derive(0, "frames", number)))
    return frames[generator.permutation(len(frames))]
