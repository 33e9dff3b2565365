"""The use of a classifier: every text is answered, in order, the same in any company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_texts import KINDS, corpus_of, model_of

from seqgen import modeldir
from seqgen.errors import DataError, ModelError, NonFiniteError
from seqgen.tasks.classification.attended import attended
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.judge import find
from seqgen.tasks.classification.model import ClassifierModel

TEXTS = ["the dog", "", "x", " \t ", "a cat run sleep the dog", "\N{SNOWMAN}", "zabc"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_is_answered_the_same_in_any_company(kind: str, tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, kind)
    model = model_of(corpus)
    alone = [next(Labeller(model, top=2).label([text])) for text in TEXTS]
    for size in (1, 2, 64):
        found = list(Labeller(model, top=2, batch_size=size).label(TEXTS))
        assert [answer.text for answer in found] == TEXTS
        for one, other in zip(alone, found, strict=True):
            assert [[label.name for label in own] for own in one.labels] == [
                [x.name for x in own] for own in other.labels
            ]
            for own, same in zip(one.labels, other.labels, strict=True):
                assert [x.probability for x in own] == pytest.approx([x.probability for x in same], abs=1e-6)
    assert [len(answer.labels) for answer in alone] == [
        (len(text.split()) if kind == "tags" else bool(text.strip())) for text in TEXTS
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_sum_to_one_at_any_temperature(kind: str, tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, kind)
    model = model_of(corpus)
    for model.temperature in (0.3, 1.0, 7.0):
        [answer] = Labeller(model, top=99).label(["the dog"])
        for labels in answer.labels:
            assert sum(label.probability for label in labels) == pytest.approx(1.0, abs=1e-6)
            assert sorted(label.name for label in labels) == sorted(corpus.classes)


def test_a_batch_is_answered_before_the_next_text_is_read(tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, "letters")
    read: list[str] = []

    def coming() -> Iterator[str]:
        for text in TEXTS:
            read.append(text)
            yield text
        raise DataError("no text")

    answers = Labeller(model_of(corpus), batch_size=1).label(coming())
    for count in range(1, len(TEXTS) + 1):
        next(answers)
        assert len(read) == count
    with pytest.raises(DataError):
        next(answers)


def test_what_is_cut_is_told_and_pieces_are_averaged(tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, "letters", max_length=3)
    [answer] = Labeller(model_of(corpus)).label(["xabcabc"])
    assert answer.cut
    corpus, _ = corpus_of(tmp_path / "..", "letters", max_length=3, chunk=True, paths=(str(tmp_path / "letters.tsv"),))
    model = model_of(corpus)
    whole, parts = model.log_probs(["xabcabc"])[0][0], [model.log_probs([p])[0][0] for p in ("xab", "cab", "c")]
    mean = (3 * np.exp(parts[0]) + 3 * np.exp(parts[1]) + np.exp(parts[2])) / 7
    np.testing.assert_allclose(np.exp(whole), mean, rtol=1e-5)


def test_a_network_that_overflows_is_refused(tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, "letters")
    model = model_of(corpus)
    model.network.output.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteError):
        list(Labeller(model).label(["x"]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_from_its_files(kind: str, tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, kind)
    model = model_of(corpus)
    model.temperature = 1.7
    weights = {modeldir.WEIGHTS: modeldir.tensors_to_bytes(model.network.state_dict())}
    modeldir.publish(tmp_path / "m", {**model.files(), **weights, modeldir.CARD: b"#\n"})
    again = ClassifierModel.load(str(tmp_path / "m"), torch.device("cpu"))
    answers = [list(Labeller(each, top=3).label(TEXTS)) for each in (model, again)]
    assert answers[0] == answers[1]


def test_words_that_the_vocabulary_lacks_are_told_apart(tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, "tags", vocab_size=5)
    assert corpus.valid is not None
    found = find(model_of(corpus), corpus.valid, np.arange(len(corpus.valid)))
    assert found is not None
    words = " ".join(corpus.valid.read(np.arange(len(corpus.valid)))[0]).split()
    assert len(found.unknown) == len(words)
    known = corpus.reader.tokenizer.encode(" ".join(words)) != 0
    assert int(found.unknown.sum()) == int((~known).sum()) > 0


def test_attention_is_shown_where_there_is_some(tmp_path: Path) -> None:
    corpus, _ = corpus_of(tmp_path, "words")
    [pool] = attended(model_of(corpus, pool="attention"), "the dog is good")
    assert (pool.columns, tuple(pool.weights.shape)) == (("the", "dog", "is", "good"), (1, 1, 1, 4))
    assert float(pool.weights.sum()) == pytest.approx(1.0, abs=1e-6)
    [maps] = attended(model_of(corpus, cell="transformer", num_heads=2), "the dog")
    assert tuple(maps.weights.shape) == (1, 2, 2, 2)
    with pytest.raises(ModelError, match="has no attention to show"):
        attended(model_of(corpus), "the dog")
    with pytest.raises(DataError, match="a classifier has no target"):
        attended(model_of(corpus, pool="attention"), "the dog", "x")
