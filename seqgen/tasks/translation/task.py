"""How a translation model is trained: every position of a true target is predicted from the true tokens before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import ParallelConfig
from seqgen.data.buckets import batches
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.subwords import SubwordSampler
from seqgen.data.tokens import TokenIds
from seqgen.nets.cross_entropy import cross_entropy
from seqgen.seeds import derive
from seqgen.tasks.translation.judge import judge
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translator
from seqgen.train.task import OnePlayer

# In training, so many pairs at most are validated on, and in short runs fewer.
MOST_VALIDATED, LEAST_VALIDATED = 1024, 64


class TranslationTask(OnePlayer):
    """Trains a network on sentence pairs (see `seqgen.train.task.Task`).

    Args:
        model (TranslationModel): its network on its device already.
        corpus (ParallelCorpus): the pairs.
        config (ParallelConfig): order, smoothing, and what is best.
        batch_size (int): pairs per step, on average.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many pairs are computed here.
        validation_share (float): of the usual number of pairs to validate on.
    """

    def __init__(
        self,
        model: TranslationModel,
        corpus: ParallelCorpus,
        config: ParallelConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": model.network}
        self._model, self._corpus, self._config, self._share = model, corpus, config, share
        self._seed = seed
        self._most = max(LEAST_VALIDATED, round(MOST_VALIDATED * validation_share))
        train = corpus.train
        self._epochs = batches(train.source_lengths, train.target_lengths, batch_size, config.order, seed)
        self._samplers = [
            SubwordSampler(tokenizer, config.subword_sampling)
            for tokenizer in (corpus.source_tokenizer, corpus.target_tokenizer)
            if config.subword_sampling
        ]
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self.criterion = None
        if corpus.valid is not None:
            self.criterion = "valid_loss" if config.keep == "loss" else "-valid_bleu"
        self._batch: tuple[Tensor, ...] = ()
        self._positions = 0

    def prepare(self, step: int) -> int:
        """Read the pairs of a step, and take this process's share."""
        sources, targets = self._read(step)
        lengths = np.array([len(target) for target in targets])
        tokens = int(lengths.sum()) + len(targets)
        rows = self._share(len(targets))
        if self._config.loss_steps == "random":
            self._positions = len(targets)
            drawn = self._drawn_positions(step, lengths)[rows]
        else:
            self._positions = tokens
            drawn = None
        self._batch = ()
        if rows.start == rows.stop:  # fewer pairs than processes
            return tokens
        given, said, where = self._model.target_tensors(targets[rows])
        if drawn is not None:
            where = functional.one_hot(torch.from_numpy(drawn), where.shape[1]).bool().to(where.device)
        self._batch = (*self._model.source_tensors(sources[rows]), given, said, where)
        return tokens

    def _read(self, step: int) -> tuple[list[TokenIds], list[TokenIds]]:
        """Sources and targets of a step, the share of all processes."""
        sources, targets = self._corpus.train.read(self._epochs.batch(step))
        if not self._samplers:
            return sources, targets
        generator = np.random.Generator(np.random.PCG64(derive(self._seed, "subwords", step)))
        longest = self._config.max_tokens
        drawn_sources, drawn_targets = (
            [sampler.sample(token_ids, generator, longest) for token_ids in side]
            for sampler, side in zip(self._samplers, (sources, targets), strict=True)
        )
        return drawn_sources, drawn_targets

    def _drawn_positions(self, step: int, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """One position of each target, the end symbol's among them."""
        generator = np.random.Generator(np.random.PCG64(derive(self._seed, "positions", step)))
        return generator.integers(0, lengths + 1)

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per position, smoothed."""
        here = len(self._batch[0]) if self._batch else 0
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if rows.start == rows.stop:
            return torch.zeros((), requires_grad=True)
        source, lengths, given, said, where = (tensor[rows] for tensor in self._batch)
        logits = self._model.network(source, lengths, given, where)
        return cross_entropy(logits, said[where], self._config.label_smoothing) / self._positions

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Nats per position, smoothing included."""
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Validation loss, and BLEU and chrF of greedy translations; empty without a validation part."""
        if self._corpus.valid is None:
            return {}
        measures = judge(self._model, self._corpus, Translator([self._model], "greedy"), stop, most=self._most)
        return None if measures is None else {f"valid_{name}": value for name, value in measures.items()}

    def sample(self, seed: int) -> str | None:
        """A validation sentence, its greedy translation and its reference."""
        if self._corpus.valid is None:
            return None
        chosen = seed % len(self._corpus.valid)
        source = self._corpus.valid_source_lines()[chosen]
        [translation] = Translator([self._model], "greedy").stream([source])
        return f"{source}\n{translation.text}\n(reference: {self._corpus.valid_target_lines()[chosen]})"
