"""How a captioner is trained: each token of a true caption is predicted from the clip and the tokens before it.

Of a clip with several captions one is drawn each time. With a second loss the network tells from the mean of what it
read which tokens the captions of the clip have: a decoder of short captions else learns what captions are like long
before the encoder learns to tell clips apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import ClipConfig
from seqgen.data.buckets import batches
from seqgen.data.captioned_corpus import CaptionedCorpus
from seqgen.data.epochs import Indices
from seqgen.data.image_shift import shifted
from seqgen.data.spread import spread
from seqgen.nets.cross_entropy import cross_entropy
from seqgen.seeds import derive
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.judge import judge
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.train.task import OnePlayer

# In training, so many clips at most are validated on, and in short runs fewer.
MOST_VALIDATED, LEAST_VALIDATED = 512, 64


class CaptionerTask(OnePlayer):
    """Trains a network on clips with captions (see `seqgen.train.task.Task`).

    Args:
        model (CaptionerModel): its network on its device already.
        corpus (CaptionedCorpus): the clips.
        config (ClipConfig): shift, smoothing, and what is best.
        batch_size (int): clips per step, at most.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many clips are computed here.
        validation_share (float): of the usual number of clips to validate on.
    """

    def __init__(
        self,
        model: CaptionerModel,
        corpus: CaptionedCorpus,
        config: ClipConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": model.network}
        self._model, self._corpus, self._config, self._share, self._seed = model, corpus, config, share, seed
        self._most = max(LEAST_VALIDATED, round(MOST_VALIDATED * validation_share))
        lengths = corpus.train.lengths
        self._epochs = batches(lengths, np.zeros_like(lengths), batch_size, "random", seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self.criterion = None
        if corpus.valid is not None:
            self.criterion = "valid_loss" if config.keep == "loss" else "-valid_cider"
        self._captions = [[model.tokenizer.encode(text) for text in own] for own in corpus.train.captions]
        self._batch: tuple[Tensor, ...] = ()
        self._clips = self._positions = 0

    def prepare(self, step: int) -> int:
        """Read the clips of a step, draw a caption of each, and take this process's share."""
        indices = self._epochs.batch(step)
        generator = np.random.Generator(np.random.PCG64(derive(self._seed, "captions", step)))
        draws = generator.random(len(indices))
        captions = [own[int(draw * len(own))] for own, draw in zip(self._own(indices), draws, strict=True)]
        self._clips, self._positions = len(indices), sum(len(ids) + 1 for ids in captions)
        rows = self._share(len(indices))
        self._batch = ()
        if rows.start != rows.stop:  # else fewer clips than processes
            clips, lengths = self._model.clip_tensors(self._corpus.train.read(indices[rows]))
            if clips.ndim == 5 and self._config.shift:
                seed = derive(self._seed, "shift", step, rows.start or 0)
                clips = shifted(clips.flatten(1, 2).cpu(), self._config.shift, seed).view_as(clips).to(clips.device)
            self._batch = (clips, lengths, *self._model.caption_tensors(captions[rows]), self._bags(indices[rows]))
        return len(indices)

    def _own(self, indices: Indices) -> list[list[np.ndarray]]:
        return [self._captions[i] for i in indices.tolist()]

    def _bags(self, indices: Indices) -> Tensor:
        """The tokens that the captions of some clips have, each as probable as the others, `(clips, vocab)`."""
        bags = torch.zeros(len(indices), self._model.network.vocab_size)
        for bag, own in zip(bags, self._own(indices), strict=True):
            bag[np.concatenate(own)] = 1.0
        return (bags / bags.sum(dim=1, keepdim=True)).to(self._model.network.device)

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per token, smoothed, and of the second loss."""
        here = len(self._batch[0]) if self._batch else 0
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if rows.start == rows.stop:
            return torch.zeros((), requires_grad=True)
        clips, lengths, given, said, where, bags = (tensor[rows] for tensor in self._batch)
        network = self._model.network
        logits, words = network(clips, lengths, given, where)
        loss = cross_entropy(logits, said[where], self._config.label_smoothing) / self._positions
        if words is not None:
            nats = functional.cross_entropy(words.float(), bags, reduction="sum") / self._clips
            loss = loss + network.config.bag_of_words * nats
        return loss

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Nats per token, smoothing included, and the second loss as it is weighed."""
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss of true captions, and CIDEr-D and exact matches of greedy ones; empty without a validation part."""
        if (valid := self._corpus.valid) is None:
            return {}
        chosen = spread(len(valid), self._most)
        found = judge(self._model, valid, CaptionWriter(self._model, "greedy"), stop, chosen)
        if found is None:
            return None
        return {"valid_loss": found.loss, "valid_cider": found.scores.cider_d, "valid_exact": found.scores.exact}

    def sample(self, seed: int) -> str | None:
        """The greedy caption of a validation clip, and its true ones."""
        if (valid := self._corpus.valid) is None:
            return None
        chosen = seed % len(valid)
        clips = valid.read(np.array([chosen]))
        [found] = CaptionWriter(self._model, "greedy").write(clips, [0])
        return f"{found.outputs[0].text}\n(true: {'; '.join(valid.captions[chosen])})"
