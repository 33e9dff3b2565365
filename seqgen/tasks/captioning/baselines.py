"""What captions are worth that need no decoder: the same for every clip, or those of the most similar clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from seqgen.data.captioned_corpus import CaptionedPart
from seqgen.tasks.captioning.judge import CLIPS
from seqgen.tasks.captioning.model import CaptionerModel


def most_frequent(train: CaptionedPart, count: int) -> list[str]:
    """The most frequent caption of the training clips, for each of `count` clips."""
    [(caption, _)] = Counter(text for own in train.captions for text in own).most_common(1)
    return [caption] * count


def nearest(model: CaptionerModel, train: CaptionedPart, valid: CaptionedPart) -> list[str]:
    """The first caption of the training clip whose mean of frame vectors makes the smallest angle with a clip's."""
    known, asked = (np.concatenate(list(_means(model, part))) for part in (train, valid))
    return [train.captions[i][0] for i in (asked @ known.T).argmax(axis=1).tolist()]


@torch.inference_mode()
def _means(model: CaptionerModel, part: CaptionedPart) -> Iterator[NDArray[np.float32]]:
    """Directions of the means over the frames, `(clips, size)` each."""
    model.network.eval()
    for first in range(0, len(part), CLIPS):
        clips = part.read(np.arange(first, min(first + CLIPS, len(part))))
        means = model.network.mean_vectors(*model.clip_tensors(clips)).float()
        yield torch.nn.functional.normalize(means, dim=1).numpy(force=True)
