"""The network of a classifier against PyTorch's layers, and what must change nothing."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from seqgen.config import ClassifierConfig, Pool
from seqgen.config.classification import ClassifierCell
from seqgen.nets.classifier import Classifier, Spelling
from seqgen.nets.pooling import Pooling
from seqgen.nets.recurrent.encoder import RecurrentEncoder

CELLS = get_args(ClassifierCell)
FLAT = [cell for arm in CELLS for cell in (get_args(arm) or (arm,))]
LENGTHS = torch.tensor([5, 2, 4])


def network(per_token: bool = False, characters: int = 0, **choices: Any) -> Classifier:
    torch.manual_seed(0)
    sizes = {"embed_size": 6, "hidden_size": 8, "char_size": 4, "num_heads": 2, "embed_dropout": 0.0, "dropout": 0.0}
    made = Classifier(ClassifierConfig(**{**sizes, **choices}), 11, characters, 3, per_token=per_token)
    made.initialise()
    nn.init.normal_(made.output.weight)
    return made.eval()


def tokens() -> torch.Tensor:
    return torch.randint(11, (3, 5), generator=torch.Generator().manual_seed(1))


def test_the_loss_begins_at_the_logarithm_of_the_classes() -> None:
    made = Classifier(ClassifierConfig(), 11, 0, 3, per_token=False)
    made.initialise()
    loss = functional.cross_entropy(made.eval()(tokens(), LENGTHS), torch.tensor([0, 1, 2]))
    assert loss.item() == pytest.approx(math.log(3), abs=1e-6)


def test_two_directions_are_those_of_torch() -> None:
    made = network(cell="lstm", num_layers=2, pool="last")
    peer = nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)
    assert isinstance(made.layers, RecurrentEncoder)
    named = {f"{i}.{name}": value for i, layer in enumerate(made.layers) for name, value in layer.named_parameters()}
    peer.load_state_dict(
        {name: named[f"{name.split('_l')[1][0]}.{name.replace('_l1', '_l0')}"] for name in peer.state_dict()}
    )
    packed = pack_padded_sequence(made.embedding(tokens()), LENGTHS, batch_first=True, enforce_sorted=False)
    _, (h, _) = peer(packed)
    wanted = made.output(torch.cat((h[-2], h[-1]), dim=1))  # h = [forward; backward]
    torch.testing.assert_close(made(tokens(), LENGTHS), wanted)


@pytest.mark.parametrize("cell", FLAT)
@pytest.mark.parametrize("pool", get_args(Pool))
def test_what_pads_a_text_changes_nothing(cell: ClassifierCell, pool: Pool) -> None:
    made, padded = network(cell=cell, pool=pool), tokens()
    together = made(padded, LENGTHS)
    padded[1, 2:] = 7
    torch.testing.assert_close(made(padded, LENGTHS), together)
    for i, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(made(tokens()[i : i + 1, :length], LENGTHS[i : i + 1]), together[i : i + 1])


@pytest.mark.parametrize("cell", FLAT)
def test_one_direction_knows_nothing_of_the_future_and_two_do(cell: ClassifierCell) -> None:
    lengths, changed = torch.tensor([5, 5, 5]), tokens()
    changed[:, 3] = (changed[:, 3] + 1) % 11
    for bidirectional in (False, True):
        made = network(per_token=True, cell=cell, bidirectional=bidirectional)
        before, after = made(tokens(), lengths), made(changed, lengths)
        assert bool((before[:, 3:] != after[:, 3:]).any())
        assert torch.equal(before[:, :3], after[:, :3]) is not bidirectional


def test_pools_with_numbers_on_paper() -> None:
    values = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]]])
    last, mask = torch.tensor([[5.0, 6.0]]), torch.tensor([[True, True, False]])
    assert Pooling("last", 2)(values, last, mask)[0].tolist() == [[5.0, 6.0]]
    assert Pooling("max", 2)(values, last, mask)[0].tolist() == [[3.0, 4.0]]
    assert Pooling("mean", 2)(values, last, mask)[0].tolist() == [[2.0, 3.0]]
    pool = Pooling("attention", 2)
    nn.init.eye_(pool.key.weight)
    nn.init.zeros_(pool.key.bias)
    pool.score.weight.data = torch.tensor([[1.0, 0.0]])
    pooled, weights = pool(values, last, mask)
    first, second = math.exp(math.tanh(1.0)), math.exp(math.tanh(3.0))
    share = first / (first + second)
    assert weights is not None
    assert weights.tolist()[0] == pytest.approx([share, 1 - share, 0.0])
    assert pooled.tolist()[0] == pytest.approx([share + 3 * (1 - share), 4 * share + 2 * (1 - share)])


def test_the_letters_of_a_word_are_read_in_both_directions_wherever_it_stands() -> None:
    made = network(per_token=True, characters=9)
    assert made.letters is not None
    words = torch.tensor([[1, 2, 3], [4, 5, 0]])
    spelling = Spelling(words, torch.tensor([3, 2]), torch.tensor([[0, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]))
    vectors = made.letters(spelling)
    peer = nn.GRU(32, 2, bidirectional=True, batch_first=True)
    peer.load_state_dict(next(iter(made.letters.encoder)).state_dict())
    for word, length in ((0, 3), (1, 2)):
        _, h = peer(made.letters.embedding(words[word : word + 1, :length]))
        torch.testing.assert_close(vectors[0, word], h[:, 0].flatten())
    assert made(tokens(), LENGTHS, spelling).shape == (3, 5, 3)
