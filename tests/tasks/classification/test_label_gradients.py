"""The gradient of a label's loss through time, against autograd over PyTorch's own kernels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from labelled_texts import corpus_of
from torch import nn
from torch.nn import functional

from seqgen.config import ClassifierConfig, RecurrentCell
from seqgen.errors import DataError, ModelError
from seqgen.nets.recurrent.encoder import RecurrentEncoder
from seqgen.nets.recurrent.layers import initialise
from seqgen.nets.recurrent.unrolled import unroll_encoder
from seqgen.tasks.classification.gradients import label_flow
from seqgen.tasks.classification.model import ClassifierModel

SENTENCE = "the dog runs and a cat sleeps while nobody knows why it does"


@pytest.mark.parametrize("cell", get_args(RecurrentCell))
@pytest.mark.parametrize("bidirectional", [True, False])
def test_step_by_step_is_what_the_encoder_computes(cell: RecurrentCell, bidirectional: bool) -> None:
    encoder = RecurrentEncoder(cell, 3, 4, 2, bidirectional=bidirectional, peephole="full", dropout=0.0)
    for layer in encoder:
        initialise(layer, 1.0)
    vectors = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    values, ends = encoder(vectors, torch.tensor([5, 5]))
    found, last, layers = unroll_encoder(encoder, cell, vectors)
    torch.testing.assert_close(found, values)
    torch.testing.assert_close(last, ends[-1][0])
    assert [len(layer.states) for layer in layers] == [6, 6]


def model_of(folder: Path, *, per_token: bool = False, **chosen: Any) -> tuple[ClassifierModel, Path]:
    corpus, _ = corpus_of(folder, "tags" if per_token else "words")
    corpus = dataclasses.replace(corpus, reader=dataclasses.replace(corpus.reader, characters=None))
    sizes = {"embed_size": 4, "hidden_size": 6, "char_size": 2}
    model = ClassifierModel.new(ClassifierConfig(**{**sizes, **chosen}), corpus, 0)
    nn.init.normal_(model.network.output.weight)
    model.network.eval().requires_grad_(False)
    path = folder / "long.tsv"
    words = SENTENCE.split()
    if per_token:
        path.write_text("".join(f"{word}\t{model.classes[0]}\n" for word in words))
    else:
        path.write_text(f"{SENTENCE}\t{model.classes[0]}\nshort\t{model.classes[1]}\n")
    return model, path


def by_kernels(model: ClassifierModel, words: list[str], distance: int) -> float:
    """The gradient at the state after all but `distance` words, by `nn.GRU` over what comes before and after it."""
    network = model.network
    assert isinstance(network.layers, RecurrentEncoder)
    [layer] = network.layers
    assert isinstance(layer, nn.GRU)
    ids = torch.from_numpy(model.reader.tokenizer.encode_words(words))  # type: ignore[attr-defined]
    vectors = network.vectors(ids[None], None)[0]
    forward = nn.GRU(layer.input_size, layer.hidden_size)
    forward.load_state_dict({name: value for name, value in layer.state_dict().items() if "reverse" not in name})
    split = len(words) - distance
    state = forward(vectors[:split])[1].detach().requires_grad_()
    end = forward(vectors[split:], state)[1] if distance else state
    if layer.bidirectional:
        whole, ends = layer(vectors)
        back = whole[-1:, layer.hidden_size :] if model.reader.per_token else ends[1:]
        end = torch.cat([end, back], 1)
    loss = functional.cross_entropy(network.output(end), torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, state)
    return float(gradient.norm())


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_are_those_of_torch(per_token: bool, bidirectional: bool, tmp_path: Path) -> None:
    model, path = model_of(tmp_path, per_token=per_token, cell="gru", bidirectional=bidirectional)
    told: list[str] = []
    if not per_token:
        path.write_text(path.read_text().splitlines()[0] + "\n")
    [flow] = label_flow(model, [str(path)], 9, told.append)
    assert told == []
    words = SENTENCE.split()[-10:]  # the last ten, as if the text began there
    wanted = [by_kernels(model, words, distance) for distance in range(10)]
    assert flow.norms == pytest.approx(wanted, rel=1e-4)
    assert flow.norms == flow.h_norms


def test_short_texts_allow_short_looks(tmp_path: Path) -> None:
    model, path = model_of(tmp_path, cell="lstm", num_layers=2)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    told: list[str] = []
    layers = label_flow(model, [str(path)], 100, told.append)
    assert told == ["the longest texts have 13 tokens: looked at 12 steps back"]
    assert [len(layer.norms) for layer in layers] == [13, 13]
    path.write_text(f"a dog\t{model.classes[0]}\n")
    with pytest.raises(DataError, match="the longest texts have 2 tokens: at least 9 are needed"):
        label_flow(model, [str(path)], 100, told.append)
    path.write_text("a dog runs\tnew\n")
    with pytest.raises(DataError, match="no text with a label"):
        label_flow(model, [str(path)], 100, told.append)


def test_a_transformer_hands_no_state_on(tmp_path: Path) -> None:
    model, path = model_of(tmp_path, cell="transformer", hidden_size=8, num_heads=2)
    with pytest.raises(ModelError, match="is a Transformer"):
        label_flow(model, [str(path)], 10, print)
