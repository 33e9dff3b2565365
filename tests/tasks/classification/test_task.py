"""How a classifier is trained: what counts how much, that it can learn, and what must change nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from labelled_texts import KINDS, corpus_of, model_of
from torch.nn import functional

from seqgen.config import ClassifierConfig
from seqgen.tasks.classification.model import ClassifierModel, tensors
from seqgen.tasks.classification.task import ClassifierTask, class_weights


def task_of(folder: Path, kind: str, share: Any = slice, **choices: Any) -> ClassifierTask:
    corpus, config = corpus_of(folder, kind, **{"word_dropout": 0.0, **choices})
    return ClassifierTask(model_of(corpus), corpus, config, batch_size=16, seed=0, share=share)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_torch_over_all_labels(kind: str, tmp_path: Path) -> None:
    corpus, config = corpus_of(tmp_path, kind, word_dropout=0.0, label_smoothing=0.1)
    model = model_of(corpus)
    task = ClassifierTask(model, corpus, config, batch_size=16, seed=0)
    task.prepare(0)
    texts, labels = corpus.train.read(task._epochs.batch(0))
    losses = []
    for text, own in zip(texts, labels, strict=True):
        logits = model.network(*tensors(model.reader.read([text]), torch.device("cpu"))).flatten(0, -2)
        losses.append(functional.cross_entropy(logits, torch.from_numpy(own), label_smoothing=0.1, reduction="none"))
    torch.testing.assert_close(task.loss("model", 0, 1), torch.cat(losses).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_parts_and_shares_of_a_batch_add_up(kind: str, tmp_path: Path) -> None:
    whole = task_of(tmp_path, kind)
    whole.prepare(0)
    wanted = whole.loss("model", 0, 1)
    torch.testing.assert_close(sum(whole.loss("model", part, 3) for part in range(3)), wanted)
    shares = [lambda n: slice(0, n // 3), lambda n: slice(n // 3, n // 3), lambda n: slice(n // 3, n)]
    total = torch.zeros(())
    for share in shares:
        own = task_of(tmp_path, kind, share)
        own.prepare(0)
        total = total + own.loss("model", 0, 1)
    torch.testing.assert_close(total, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_can_be_learned_by_heart(kind: str, tmp_path: Path) -> None:
    task = task_of(tmp_path, kind)
    network = task.players["model"]
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    task.prepare(0)
    for _ in range(60):
        optimizer.zero_grad()
        loss = task.loss("model", 0, 1)
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.05


def test_a_text_in_pieces_counts_as_one(tmp_path: Path) -> None:
    corpus, config = corpus_of(tmp_path, "letters", word_dropout=0.0, max_length=2, chunk=True)
    model = model_of(corpus)
    task = ClassifierTask(model, corpus, config, batch_size=16, seed=0)
    task.prepare(0)
    texts, labels = corpus.train.read(task._epochs.batch(0))
    wanted = []
    for text, own in zip(texts, labels, strict=True):
        logits = model.network(*tensors(model.reader.read([text]), torch.device("cpu")))
        wanted.append(functional.cross_entropy(logits, torch.from_numpy(own).expand(len(logits))))
    torch.testing.assert_close(task.loss("model", 0, 1), torch.stack(wanted).mean())


def test_weights_of_classes_with_numbers_on_paper() -> None:
    counts = np.array([9, 1])
    assert class_weights(counts, "none").tolist() == [1, 1]
    assert class_weights(counts, "full") == pytest.approx([10 / 18, 5.0])  # 9 * 10/18 = 1 * 5, ten in all
    assert class_weights(counts, "sqrt") == pytest.approx([1 / 3 * 10 / 4, 10 / 4])  # 9/3 + 1 = 4


def test_rare_tokens_are_hidden_more_often(tmp_path: Path) -> None:
    corpus, config = corpus_of(tmp_path, "words", word_dropout=1.0)
    model = ClassifierModel.new(ClassifierConfig(), corpus, 0)
    task = ClassifierTask(model, corpus, config, batch_size=16, seed=0)
    hidden = {"good": [0, 0], "rare": [0, 0]}
    for step in range(40):
        task.prepare(step)
        texts, _ = corpus.train.read(task._epochs.batch(step))
        before = model.reader.read(texts).tokens
        assert task._batch is not None
        gone = task._batch[0].numpy() != before
        for name, chosen in (("good", corpus.counts[before] > 20), ("rare", corpus.counts[before] == 1)):
            hidden[name][0] += int(gone[chosen].sum())
            hidden[name][1] += int(chosen.sum())
    assert hidden["rare"][0] / hidden["rare"][1] == pytest.approx(1 / 2, abs=0.1)
    assert hidden["good"][0] / hidden["good"][1] < 0.08


def test_the_loss_begins_at_the_logarithm_of_the_classes(tmp_path: Path) -> None:
    corpus, config = corpus_of(tmp_path, "tags")
    task = ClassifierTask(ClassifierModel.new(ClassifierConfig(), corpus, 0), corpus, config, batch_size=16, seed=0)
    task.prepare(0)
    assert task.loss("model", 0, 1).item() == pytest.approx(math.log(3), abs=1e-5)
