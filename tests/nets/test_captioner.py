from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from tolerances import assert_near
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import CaptionerConfig
from seqgen.nets.captioner import Captioner
from seqgen.nets.images.frames import FrameNetwork
from seqgen.nets.stepping.seq2seq import Seq2SeqStep

VOCAB, SIDE = 7, 8
LENGTHS, WANTED = torch.tensor([3, 1, 4]), torch.tensor([4, 2, 5])
ENCODERS = [("mean", "none"), ("sequence", "none"), ("sequence", "additive"), ("sequence", "general")]
every_encoder = pytest.mark.parametrize(("encoder", "attention"), ENCODERS)


def network_of(*, feature_size: int = 0, **chosen: Any) -> Captioner:
    """A network with random weights everywhere, larger than at the start of a training, in fp64."""
    sizes = {"embed_size": 4, "hidden_size": 6, "attention_size": 3, "dropout": 0.0, "cnn_size": 8}
    network = Captioner(CaptionerConfig(**{**sizes, **chosen}), VOCAB, SIDE, feature_size)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator).double()
    return network.double().eval()


def batch(frames: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three clips of unlike lengths with captions, padded with frames and tokens like any other."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (3, frames, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    target = torch.randint(VOCAB, (3, 5), generator=generator)
    return clips, LENGTHS, target, torch.arange(5) < WANTED[:, None]


@every_encoder
def test_what_pads_a_clip_changes_nothing(encoder: str, attention: str) -> None:
    network = network_of(encoder=encoder, attention=attention)
    clips, lengths, target, wanted = batch()
    logits, words = network(clips, lengths, target, wanted)
    for i, length in enumerate(lengths.tolist()):
        alone, own = network(clips[i : i + 1, :length], lengths[i : i + 1], target[i : i + 1], wanted[i : i + 1])
        start = int(WANTED[:i].sum())
        assert_near(logits[start : start + int(WANTED[i])], alone)
        assert_near(words[i : i + 1], own)


@every_encoder
def test_a_token_does_not_see_those_after_it(encoder: str, attention: str) -> None:
    network = network_of(encoder=encoder, attention=attention)
    clips, lengths, target, _ = batch()
    everything = torch.ones_like(target, dtype=torch.bool)
    changed = target.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % VOCAB
    before, after = (network(clips, lengths, given, everything)[0].view(3, 5, VOCAB) for given in (target, changed))
    assert_near(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@every_encoder
def test_steps_of_a_search_are_those_of_training(encoder: str, attention: str) -> None:
    network = network_of(encoder=encoder, attention=attention, num_layers=2)
    clips, lengths, target, _ = batch()
    whole = network(clips, lengths, target, torch.ones_like(target, dtype=torch.bool))[0].log_softmax(-1)
    step = Seq2SeqStep(network)
    state = step.start(clips, lengths)
    for time, tokens in enumerate(target.unbind(1)):
        log_probs, state = step(tokens, state)
        assert_near(log_probs, whole.view(3, 5, VOCAB)[:, time])


def test_the_mean_is_that_of_the_frames_in_any_order() -> None:
    network = network_of(encoder="mean")
    clips, _, target, wanted = batch()
    lengths = torch.tensor([4, 4, 4])
    there, back = (network(given, lengths, target, wanted)[0] for given in (clips, clips.flip(1)))
    assert_near(there, back)
    ordered = network_of(encoder="sequence")
    there, back = (ordered(given, lengths, target, wanted)[0] for given in (clips, clips.flip(1)))
    assert not torch.allclose(there, back)


def test_the_mean_encoder_by_torchs_own_modules() -> None:
    """`x_t = [embedding; attended]` with `attended = tanh(W [mean; h])`, and a GRU from `tanh(V mean)`."""
    network = network_of(encoder="mean", cell="gru", feature_size=5)
    assert network.project is not None
    assert network.start is not None
    features = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(2)).double()
    target = torch.tensor([[1, 4], [2, 0]])
    logits, _ = network(features, torch.tensor([3, 3]), target, torch.ones(2, 2, dtype=torch.bool))
    gru = nn.GRUCell(8, 6).double()
    for name, value in network.decoder[0].named_parameters():
        getattr(gru, name.removesuffix("_l0")).data = value.data
    mean = functional.linear(
        functional.layer_norm(features, (5,), network.norm.weight, network.norm.bias).mean(1),
        network.project.weight,
        network.project.bias,
    )
    hidden = functional.linear(mean, network.start.weight, network.start.bias).tanh()
    attended = torch.zeros(2, 4).double()
    for time in range(2):
        x = network.embedding.weight[target[:, time]] * math.sqrt(4)
        hidden = gru(torch.cat((x, attended), 1), hidden)
        attended = functional.linear(torch.cat((mean, hidden), 1), network.readout.weight).tanh()
        wanted = functional.linear(attended, network.embedding.weight, network.output_bias)
        assert_near(logits.view(2, 2, VOCAB)[:, time], wanted)


def test_frames_are_normalised_one_by_one() -> None:
    """By PyTorch's own functions; 8 channels are one group."""
    network = FrameNetwork(8, 4).double()
    frames = torch.randint(256, (3, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    maps = functional.conv2d(frames.double() / 127.5 - 1, network.stages[0][0].weight, stride=2, padding=1)  # type: ignore[index]
    mean, variance = maps.mean((1, 2, 3), keepdim=True), maps.var((1, 2, 3), keepdim=True, unbiased=False)
    flat = ((maps - mean) / (variance + 1e-5).sqrt()).relu().flatten(1)
    assert_near(network(frames), functional.linear(flat, network.output.weight, network.output.bias).relu())
    assert_near(network(frames)[1:2], network(frames[1:2]))


@pytest.mark.parametrize("side", [8, 48, 64, 100])
def test_stages_halve_a_frame_until_it_is_small(side: int) -> None:
    network = FrameNetwork(16, side)
    network.initialise()
    maps = network.stages(torch.zeros(1, 3, side, side))
    assert 2 <= max(maps.shape[2:]) <= 3
    assert network(torch.zeros(1, 3, side, side)).shape == (1, 128)


def test_a_new_network_knows_nothing() -> None:
    torch.manual_seed(0)
    network = Captioner(CaptionerConfig(dropout=0.0), 400, 16).eval()
    network.initialise()
    clips, lengths, target, wanted = batch()
    logits, words = network(clips.repeat(1, 1, 1, 2, 2), lengths, target, wanted)
    assert -logits.log_softmax(-1).mean().item() == pytest.approx(math.log(400), rel=0.1)
    assert torch.equal(words, torch.zeros(3, 400, dtype=words.dtype))


def test_without_the_second_loss_nothing_is_kept_for_it() -> None:
    network = network_of(bag_of_words=0.0)
    assert network.words is None
    assert network(*batch())[1] is None


@pytest.mark.parametrize("encoder", ["mean", "sequence"])
def test_every_weight_learns(encoder: str) -> None:
    network = network_of(encoder=encoder, tied=False).train()
    logits, words = network(*batch())
    (logits.logsumexp(-1).sum() + words.logsumexp(-1).sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_the_sizes_are_those_of_the_configuration() -> None:
    config = CaptionerConfig(encoder="mean")
    assert not Captioner(config, VOCAB, SIDE).attends
    assert Captioner(dataclasses.replace(config, encoder="sequence"), VOCAB, SIDE).attends
    assert not Captioner(dataclasses.replace(config, encoder="sequence", attention="none"), VOCAB, SIDE).attends
