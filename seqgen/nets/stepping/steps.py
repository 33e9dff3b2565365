"""Which step goes with a network: what a search or a writer is given of it.

A step is a snapshot in evaluation mode. It shares nothing with the network, so that neither later training nor a change
of mode shows in it: matrices are copied into the order in which products read them fastest, all else as it is.
"""

from __future__ import annotations

from typing import assert_never

import torch

from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.recurrent.window import WindowNetwork
from seqgen.nets.stepping.cached import CachedLayers
from seqgen.nets.stepping.encoder import FastEncoder
from seqgen.nets.stepping.recurrent import RecurrentStep
from seqgen.nets.stepping.seq2seq import Seq2SeqStep
from seqgen.nets.stepping.transformer import TextStep, TranslationStep
from seqgen.nets.stepping.whole import WholeTargetStep, WholeTextStep
from seqgen.nets.stepping.window import WindowStep
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.nets.transformer.seq2seq import TransformerSeq2Seq

PromptStep = RecurrentStep | WindowStep | TextStep | WholeTextStep
SourceStep = Seq2SeqStep | TranslationStep | WholeTargetStep


def text_step(network: RecurrentNetwork | WindowNetwork | TransformerNetwork) -> PromptStep:
    """What writes with a language model's network."""
    match network:
        case RecurrentNetwork():
            return RecurrentStep(network)
        case WindowNetwork():
            return WindowStep(network)
        case TransformerNetwork():
            if not network.config.causal:
                return WholeTextStep(network)
            output = network.output_matrix, network.output_bias
            return TextStep(
                CachedLayers(network.decoder, network.embedding, network.positions, *output), network.context
            )
        case _:
            assert_never(network)


def source_step(network: Seq2Seq | TransformerSeq2Seq, dtype: torch.dtype | None = None) -> SourceStep:
    """What translates with an encoder-decoder.

    Args:
        network (Seq2Seq | TransformerSeq2Seq): on its device.
        dtype (torch.dtype | None): of the layers' products; None: the weights' own.
    """
    match network:
        case Seq2Seq():
            return Seq2SeqStep(network, dtype)
        case TransformerSeq2Seq():
            if not network.config.causal:
                return WholeTargetStep(network, dtype)
            positions, output = network.positions, (network.output_matrix, network.output_bias)
            decoder = CachedLayers(network.decoder, network.target_matrix, positions, *output, dtype)
            return TranslationStep(
                decoder, FastEncoder(network.encoder, network.source_embedding, positions, network.decoder, dtype)
            )
        case _:
            assert_never(network)
