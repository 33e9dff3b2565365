"""How a captioner is trained: what its loss is, that it can learn, and what must change nothing."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_clips import drawn_clips
from torch.nn import functional

from seqgen.config import CaptionerConfig, ClipConfig
from seqgen.data.captioned_corpus import CaptionedCorpus, build_captioned
from seqgen.tasks.captioning.baselines import most_frequent, nearest
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.judge import judge
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.captioning.task import CaptionerTask

SMALL: dict[str, Any] = {"embed_size": 16, "hidden_size": 32, "attention_size": 8, "cnn_size": 8, "dropout": 0.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> CaptionedCorpus:
    folder = tmp_path_factory.mktemp("clips")
    return build_captioned(config_of(drawn_clips(folder)), None, folder / "data", print)


def config_of(path: Path | str = "-", **chosen: Any) -> ClipConfig:
    sizes = {"frames": 4, "image_size": 16, "vocab_size": 300, "shift": 0.0, "label_smoothing": 0.0}
    return ClipConfig(paths=(str(path),), **{**sizes, **chosen})


def model_of(corpus: CaptionedCorpus, **chosen: Any) -> CaptionerModel:
    return CaptionerModel.new(CaptionerConfig(**{**SMALL, **chosen}), config_of(), corpus.tokenizer, None, 0)


def task_of(corpus: CaptionedCorpus, model: CaptionerModel, share: Any = slice, **chosen: Any) -> CaptionerTask:
    return CaptionerTask(model, corpus, config_of(**chosen), batch_size=8, seed=0, share=share)


def test_the_parts_of_the_data(corpus: CaptionedCorpus) -> None:
    assert corpus.valid is not None
    assert (len(corpus.train), len(corpus.valid)) == (18, 6)
    assert corpus.train.captions[1] == ("a green square moves left", "green square going left")
    [frames] = corpus.train.read(np.array([1]))
    assert frames.shape == (4, 3, 16, 16)
    assert frames[0, :, 7, 10].tolist() == [30, 200, 30]  # GIF's palette holds these colours exactly


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_is_that_of_torch(corpus: CaptionedCorpus, weight: float) -> None:
    model = model_of(corpus, bag_of_words=weight)
    task = task_of(corpus, model, label_smoothing=0.1)
    assert task.prepare(0) == 6  # 18 clips in 3 equal batches
    clips, lengths, given, said, where, _ = task._batch
    memory, layers = model.network.encode(clips, lengths)
    logits = model.network.write(memory, layers, given, where)
    wanted = functional.cross_entropy(logits, said[where], label_smoothing=0.1)
    if weight:
        words = model.network.bag_of_words(memory).log_softmax(1)
        own = [corpus.train.captions[i] for i in task._epochs.batch(0).tolist()]
        sets = [{i for text in texts for i in corpus.tokenizer.encode(text).tolist()} for texts in own]
        nats = [-row[sorted(ids)].mean() for row, ids in zip(words, sets, strict=True)]
        wanted = wanted + weight * torch.stack(nats).mean()
    torch.testing.assert_close(task.loss("model", 0, 1), wanted)


def test_parts_and_shares_of_a_batch_add_up(corpus: CaptionedCorpus) -> None:
    model = model_of(corpus)
    whole = task_of(corpus, model)
    whole.prepare(0)
    wanted = whole.loss("model", 0, 1)
    torch.testing.assert_close(sum(whole.loss("model", part, 4) for part in range(4)), wanted)
    total = torch.zeros(())
    for share in (lambda n: slice(0, n // 3), lambda n: slice(n // 3, n // 3), lambda n: slice(n // 3, n)):
        own = task_of(corpus, model, share)
        own.prepare(0)
        total = total + own.loss("model", 0, 1)
    torch.testing.assert_close(total, wanted)


def test_captions_are_drawn_by_the_seed_and_the_step(corpus: CaptionedCorpus) -> None:
    model = model_of(corpus)
    one, two = task_of(corpus, model), task_of(corpus, model)
    drawn = set()
    for step in range(9):
        one.prepare(step)
        two.prepare(step)
        assert torch.equal(one._batch[3], two._batch[3])
        drawn |= {corpus.tokenizer.piece(int(row[0])) for row in one._batch[3]}
    assert len(drawn) > 1  # `a red ...` and `red ...`


def test_the_whole_clip_is_moved_together(corpus: CaptionedCorpus) -> None:
    task = task_of(corpus, model_of(corpus), shift=0.2)
    plain = task_of(corpus, model_of(corpus))
    task.prepare(0)
    plain.prepare(0)
    moved, still = task._batch[0], plain._batch[0]
    assert moved.shape == still.shape
    assert not torch.equal(moved, still)
    for one, other in zip(moved, still, strict=True):
        places = [(row, column) for row in range(-3, 4) for column in range(-3, 4)]
        padded = functional.pad(other.float(), (3, 3, 3, 3), mode="replicate").byte()
        assert any(torch.equal(one, padded[:, :, 3 + r : 19 + r, 3 + c : 19 + c]) for r, c in places)


@pytest.mark.parametrize("encoder", ["mean", "sequence"])
def test_one_batch_can_be_learned_by_heart(corpus: CaptionedCorpus, encoder: str) -> None:
    model = model_of(corpus, encoder=encoder, bag_of_words=0.0)
    task = task_of(corpus, model)
    one = dataclasses.replace(corpus.train, captions=tuple(own[:1] for own in corpus.train.captions))
    task = task_of(dataclasses.replace(corpus, train=one), model)
    optimizer = torch.optim.Adam(model.network.parameters(), 0.01)
    task.prepare(0)
    for _ in range(160):
        optimizer.zero_grad()
        loss = task.loss("model", 0, 1)
        torch.autograd.backward(loss)
        optimizer.step()
    # Left from right is in the order of the frames, which a mean does not know; where they stand it does.
    assert loss.item() < (0.05 if encoder == "sequence" else 0.4)


def test_the_loss_begins_at_the_logarithm_of_the_vocabulary(corpus: CaptionedCorpus) -> None:
    model = CaptionerModel.new(CaptionerConfig(bag_of_words=0.0), config_of(), corpus.tokenizer, None, 0)
    task = task_of(corpus, model)
    task.prepare(0)
    assert task.loss("model", 0, 1).item() == pytest.approx(math.log(model.network.vocab_size), rel=0.1)


def test_the_loss_of_true_captions_is_that_of_each_alone(corpus: CaptionedCorpus) -> None:
    model = model_of(corpus)
    assert corpus.valid is not None
    every = np.arange(len(corpus.valid))
    found = judge(model, corpus.valid, CaptionWriter(model, "greedy", max_length=3), lambda: False, every)
    assert found is not None
    nats, count = 0.0, 0
    for i, own in enumerate(corpus.valid.captions):
        clip = model.clip_tensors(corpus.valid.read(np.array([i])))
        for text in own:
            given, said, where = model.caption_tensors([corpus.tokenizer.encode(text)])
            logits, _ = model.network(*clip, given, where)
            nats += functional.cross_entropy(logits, said[where], reduction="sum").item()
            count += len(logits)
    assert found.loss == pytest.approx(nats / count, rel=1e-5)
    assert judge(model, corpus.valid, CaptionWriter(model, "greedy"), lambda: True, every) is None


def test_shuffled_frames_are_those_of_the_clip(corpus: CaptionedCorpus) -> None:
    """A mean does not know of their order: the answer is the same; a sequence does."""
    assert corpus.valid is not None
    losses = {}
    for encoder in ("mean", "sequence"):
        model = model_of(corpus, encoder=encoder)
        writer = CaptionWriter(model, "greedy", max_length=2)
        pair = [
            judge(model, corpus.valid, writer, lambda: False, np.arange(6), shuffled=shuffled)
            for shuffled in (False, True)
        ]
        losses[encoder] = [found.loss for found in pair if found is not None]
    assert losses["mean"][0] == pytest.approx(losses["mean"][1], rel=1e-6)
    assert abs(losses["sequence"][0] - losses["sequence"][1]) > 1e-5


def test_simple_methods(corpus: CaptionedCorpus) -> None:
    assert corpus.valid is not None
    model = model_of(corpus)
    counts = Counter(text for own in corpus.train.captions for text in own)
    one, two = most_frequent(corpus.train, 2)
    assert one == two
    assert counts[one] == max(counts.values())
    found = nearest(model, corpus.train, corpus.valid)
    # Each clip is there twice; left and right, and up and down, have the same mean.
    across = ("left", "right")
    for caption, own in zip(found, corpus.valid.captions, strict=True):
        assert caption.split()[:2] == own[0].split()[:2]
        assert (caption.split()[-1] in across) == (own[0].split()[-1] in across)


def test_a_caption_does_not_depend_on_its_company(corpus: CaptionedCorpus) -> None:
    model = model_of(corpus)
    frames = corpus.train.read(np.arange(9))
    frames[4] = frames[4][:1]
    together = CaptionWriter(model, "sample", seed=3, max_length=6).write(frames, range(9))
    alone = [CaptionWriter(model, "sample", seed=3, max_length=6).write([f], [i])[0] for i, f in enumerate(frames)]
    assert [f.outputs[0].text for f in together] == [f.outputs[0].text for f in alone]
    assert len({f.outputs[0].text for f in together}) > 1
