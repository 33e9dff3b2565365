"""Classifiers: labelling beside character n-grams with logistic regression, training beside plain `nn.LSTM`.

Both sides label the same names in batches of 64. The peer of labelling is scikit-learn's, which is not among the
packages of seqgen: without it only training is compared.
"""

from __future__ import annotations

import random
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Row, Settings, Side, compare, interleaved, seconds
from plain_torch import use_threads
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from seqgen.config import ClassifierConfig, LabelledTextConfig
from seqgen.data.labelled_corpus import LabelledCorpus, build_labelled
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.classification.task import ClassifierTask

BATCH, NAMES, STEPS = 64, 12_800, 40
SYLLABLES = "ka ro mi ten sho lu va ne ri do pa ski ov ez son ard ini ou ang hu".split()
LABELS = 18


def classification(settings: Settings) -> list[Row]:
    """Lines and steps per second."""
    use_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "names.tsv")
        names = _names(settings.amount(NAMES))
        path.write_text("".join(f"{name}\t{len(name) * 7 % LABELS}\n" for name in names))
        config = LabelledTextConfig(paths=(str(path),), tokens="char", valid="0")
        corpus = build_labelled(config, letters=False, directory=Path(folder, "data"), warn=lambda message: None)
        rows = [_training(settings, corpus, config)]
    if find_spec("sklearn") is not None:
        rows.append(_labelling(settings, names))
    return rows


def _names(count: int) -> list[str]:
    draw = random.Random(0)
    found = ("".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))).capitalize() + str(i) for i in range(count))
    return list(dict.fromkeys(found))


def _labelling(settings: Settings, names: list[str]) -> Row:
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-not-found]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-not-found]

    labeller = Labeller(ClassifierModel.load("surnames", torch.device("cpu")), batch_size=BATCH)
    peer = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 5)), LogisticRegression(max_iter=50))
    peer.fit(names[:2000], [len(name) % LABELS for name in names[:2000]])

    def ours() -> None:
        assert len(list(labeller.label(names))) == len(names)

    def theirs() -> None:
        for first in range(0, len(names), BATCH):
            peer.predict_proba(names[first : first + BATCH])

    sides: dict[str, Side] = {"ours": lambda: len(names) / seconds(ours), "peer": lambda: len(names) / seconds(theirs)}
    measured = interleaved(sides, settings.repeats)
    return compare("labels of names", measured["ours"], measured["peer"], "lines/s", "TF-IDF, logistic regression")


class _Plain(nn.Module):
    """Embedding, `nn.LSTM` in both directions over packed batches, a linear layer on its last states."""

    def __init__(self, config: ClassifierConfig, vocab_size: int, classes: int) -> None:
        super().__init__()
        half = config.hidden_size // 2
        self.embedding = nn.Embedding(vocab_size, config.embed_size)
        self.layers = nn.LSTM(config.embed_size, half, config.num_layers, bidirectional=True, batch_first=True)
        self.output = nn.Linear(config.hidden_size, classes)
        self.before, self.after = nn.Dropout(config.embed_dropout), nn.Dropout(config.dropout)

    def forward(self, tokens: Any, lengths: Any) -> Any:
        vectors = self.before(self.embedding(tokens))
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.layers(packed)
        return self.output(self.after(torch.cat([last[-2], last[-1]], 1)))


def _training(settings: Settings, corpus: LabelledCorpus, config: LabelledTextConfig) -> Row:
    """Steps per second with AdamW and clipping; the peer is handed its batches as tensors."""
    network = ClassifierConfig(cell="lstm")
    model = ClassifierModel.new(network, corpus, 0)
    task = ClassifierTask(model, corpus, config, batch_size=BATCH, seed=0)
    plain = _Plain(network, model.network.vocab_size, len(corpus.classes))
    steps = settings.amount(STEPS)
    batches = []
    for step in range(steps):
        texts, labels = corpus.train.read(task._epochs.batch(step % task.steps_per_epoch))
        inputs = model.reader.read(texts)
        tensors = inputs.tokens, inputs.lengths, np.concatenate(labels)
        batches.append(tuple(map(torch.from_numpy, tensors)))
    optimizers = [torch.optim.AdamW(one.parameters(), 1e-4) for one in (model.network, plain)]

    def moved(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Any) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    def ours() -> None:
        model.network.train()
        for step in range(steps):
            task.prepare(step % task.steps_per_epoch)
            moved(model.network, optimizers[0], task.loss("model", 0, 1))

    def theirs() -> None:
        plain.train()
        for tokens, lengths, labels in batches:
            moved(plain, optimizers[1], functional.cross_entropy(plain(tokens, lengths), labels))

    sides: dict[str, Side] = {"ours": lambda: steps / seconds(ours), "peer": lambda: steps / seconds(theirs)}
    measured = interleaved(sides, settings.repeats)
    return compare("LSTM classifier, training", measured["ours"], measured["peer"], "steps/s", "nn.LSTM, packed")
