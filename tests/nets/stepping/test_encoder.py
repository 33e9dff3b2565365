"""The encoder of a search, against the network's own."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from seqgen.config import Activation, Norm, Positions, TransformerSeq2SeqConfig
from seqgen.nets.stepping.encoder import FastEncoder
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq


def random_network(positions: Positions, norm: Norm, activation: Activation, kv_heads: int) -> TransformerSeq2Seq:
    config = TransformerSeq2SeqConfig(
        embed_size=16,
        num_layers=2,
        num_heads=4,
        num_kv_heads=kv_heads,
        ffn_size=24,
        positions=positions,
        norm=norm,
        activation=activation,
    )
    network = TransformerSeq2Seq(config, 11, 11)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4, generator=generator)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("lengths", [[7, 4, 5], [7, 7, 7], [1, 7, 2]])
@pytest.mark.parametrize("positions", get_args(Positions))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_it_reads_as_the_network_does(lengths: list[int], positions: Positions, norm: Norm) -> None:
    kinds: tuple[tuple[Activation, int], ...] = (("relu", 0), ("swiglu", 2))
    for activation, kv_heads in kinds:
        network = random_network(positions, norm, activation, kv_heads)
        encoder = FastEncoder(network.encoder, network.source_embedding, network.positions, network.decoder)
        source = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))
        many = torch.tensor(lengths)
        real = torch.arange(7) < many[:, None]
        with torch.inference_mode():
            for ours, theirs in zip(encoder(source, many), network.encode(source, many), strict=True):
                for one, other in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
                    torch.testing.assert_close(one.transpose(1, 2)[real], other.transpose(1, 2)[real])
                    assert not one.transpose(1, 2)[~real].any()
                assert (ours.additive_mask is None) == (theirs.mask is None) == bool(real.all())
                assert ours.additive_mask is None or torch.equal(ours.additive_mask[:, 0, 0] == 0, real)
