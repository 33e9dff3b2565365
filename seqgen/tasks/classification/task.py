"""How a classifier is trained: cross-entropy of the true label of each text, or of each word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import LabelledTextConfig
from seqgen.data.buckets import batches
from seqgen.data.label_inputs import Inputs
from seqgen.data.labelled_corpus import LabelledCorpus
from seqgen.data.spread import spread
from seqgen.nets.classifier import Spelling
from seqgen.seeds import derive
from seqgen.tasks.classification.judge import find
from seqgen.tasks.classification.model import ClassifierModel, tensors
from seqgen.train.task import OnePlayer

# In training, so many texts at most are validated on, and in short runs fewer.
MOST_VALIDATED, LEAST_VALIDATED = 2048, 256
NO_LABEL = -100
CRITERIA = {"loss": "valid_loss", "accuracy": "-valid_accuracy", "macro-f1": "-valid_macro_f1"}


class ClassifierTask(OnePlayer):
    """Trains a network on labelled texts (see `seqgen.train.task.Task`).

    Args:
        model (ClassifierModel): its network on its device already.
        corpus (LabelledCorpus): the texts.
        config (LabelledTextConfig): weights of classes, smoothing, and what is best.
        batch_size (int): texts per step, on average.
        seed (int): the run's.
        share (Callable[[int], slice]): which of so many texts are computed here.
        validation_share (float): of the usual number of texts to validate on.
    """

    def __init__(
        self,
        model: ClassifierModel,
        corpus: LabelledCorpus,
        config: LabelledTextConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"model": model.network}
        self._model, self._corpus, self._config, self._share, self._seed = model, corpus, config, share, seed
        self._most = max(LEAST_VALIDATED, round(MOST_VALIDATED * validation_share))
        lengths = corpus.train.bytes.lengths
        self._epochs = batches(lengths, np.zeros_like(lengths), batch_size, "length", seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self.criterion = CRITERIA[config.keep] if corpus.valid is not None else None
        weights = class_weights(corpus.class_counts, config.balance)
        self._weights = torch.from_numpy(weights).float().to(model.network.device)
        self._batch: tuple[Tensor, Tensor, Spelling | None, Tensor, Tensor] | None = None
        self._total = 0

    def prepare(self, step: int) -> int:
        """Read the texts of a step, and take this process's share."""
        texts, labels = self._corpus.train.read(self._epochs.batch(step))
        inputs = self._model.reader.read(texts)
        self._total = sum(map(len, labels))
        units = int(inputs.lengths.sum())
        rows = self._share(len(texts))
        self._batch = None
        if not (own := texts[rows]):  # fewer texts than processes
            return units
        inputs = inputs if len(own) == len(texts) else self._model.reader.read(own)
        wanted, share = _targets(inputs, labels[rows], per_token=self._model.reader.per_token)
        self._hide(inputs, step, rows.start or 0)
        device = self._model.network.device
        self._batch = (
            *tensors(inputs, device),
            torch.from_numpy(wanted).to(device),
            torch.from_numpy(share).to(device),
        )
        return units

    def _hide(self, inputs: Inputs, step: int, first: int) -> None:
        """Put the unknown token in the place of some, the rarer the more often, so that it is learned too.

        A token that stands n times in the training texts is hidden with probability `a / (a + n)` (Kiperwasser and
        Goldberg 2016, section 6); its letters are not.
        """
        if not (a := self._config.word_dropout):
            return
        generator = np.random.Generator(np.random.PCG64(derive(self._seed, "hidden", step, first)))
        hidden = generator.random(inputs.tokens.shape) < a / (a + self._corpus.counts[inputs.tokens])
        inputs.tokens[hidden] = self._model.reader.tokenizer.unk_id

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The part's share of the mean cross-entropy in nats per label, classes weighted and labels smoothed."""
        here = len(self._batch[0]) if self._batch else 0
        rows = slice(part * here // parts, (part + 1) * here // parts)
        if self._batch is None or rows.start == rows.stop:
            return torch.zeros((), requires_grad=True)
        tokens, lengths, spelling, wanted, share = self._batch
        if spelling is not None:
            spelling = spelling._replace(places=spelling.places[rows])
        logits = self._model.network(tokens[rows], lengths[rows], spelling).float()
        nats = functional.cross_entropy(
            logits.flatten(0, -2),
            wanted[rows].flatten(),
            weight=self._weights,
            ignore_index=NO_LABEL,
            reduction="none",
            label_smoothing=self._config.label_smoothing,
        )
        return (nats * share[rows].flatten()).sum() / self._total

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Nats per label, smoothing included."""
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss, accuracy and macro-F1 on an even share of the validation part; empty without one."""
        if (valid := self._corpus.valid) is None:
            return {}
        found = find(self._model, valid, spread(len(valid), self._most), stop)
        return None if found is None else {f"valid_{name}": value for name, value in found.measures().items()}


def class_weights(counts: NDArray[np.int64], balance: str) -> NDArray[np.float64]:
    """What a label of each class counts for, `(classes,)`; the mean over all labels is 1.

    full: `1 / n` for a class of n labels, so that each class counts as much as any other; sqrt: the root of that.
    """
    power = {"none": 0.0, "sqrt": 0.5, "full": 1.0}[balance]
    weights = np.maximum(counts, 1.0) ** -power
    return np.asarray(weights * (counts.sum() / (weights * counts).sum()))


def _targets(
    inputs: Inputs, labels: Sequence[NDArray[np.int64]], *, per_token: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The label of each row `(rows,)`, or of each token `(rows, time)`, and how much of one label it counts for."""
    if not per_token:
        pieces = np.bincount(inputs.owners, minlength=len(labels))[inputs.owners]
        wanted = np.concatenate(labels)[inputs.owners]
        return wanted, np.reciprocal(pieces, dtype=np.float32)
    wanted = np.full_like(inputs.tokens, NO_LABEL)
    wanted[np.arange(inputs.tokens.shape[1]) < inputs.lengths[:, None]] = np.concatenate(labels)
    return wanted, np.ones(wanted.shape, np.float32)
