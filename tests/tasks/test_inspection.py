"""What is inside a model: parameters by part, positions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from seqgen import modeldir
from seqgen.config import (
    RecurrentConfig,
    Seq2SeqConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
)
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import ModelError
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.tasks.inspection import MAX_POSITIONS, load, parameters_by_part, position_matrix
from seqgen.tasks.language.model import LanguageModel, language_network, new_network
from seqgen.tasks.translation.model import translation_network

CPU = torch.device("cpu")
SMALL = TransformerConfig(embed_size=8, num_layers=2, num_heads=2, ffn_size=12, context=6)


def text_model(config: RecurrentConfig | TransformerConfig) -> LanguageModel:
    tokenizer = CharTokenizer("abc")
    return LanguageModel(new_network(config, tokenizer, 0), tokenizer, Path("m"))


# Parts --------------------------------------------------------------------------------------------------------


def test_the_parts_of_a_transformer_counted_on_paper() -> None:
    assert parameters_by_part(language_network(SMALL, 5)) == {
        "output": 5,  # the matrix is the embedding's
        "embedding": 5 * 8,
        "decoder attention": 2 * 4 * (8 * 8 + 8),
        "decoder attention_norm": 2 * 16,
        "decoder feed_forward": 2 * (8 * 12 + 12 + 12 * 8 + 8),
        "decoder feed_forward_norm": 2 * 16,
        "decoder norm": 16,
    }


@pytest.mark.parametrize(
    "network",
    [
        language_network(RecurrentConfig(hidden_size=8, embed_size=4), 5),
        language_network(TransformerConfig(positions="learned", embed_size=8, ffn_size=8, tied=False), 5),
        translation_network(Seq2SeqConfig(hidden_size=8, embed_size=4, attention_size=3, attention="additive"), 5, 5),
        translation_network(TransformerSeq2SeqConfig(embed_size=8, ffn_size=8, positions="learned"), 5, 5),
    ],
)
def test_no_parameter_is_lost_or_counted_twice(network: torch.nn.Module) -> None:
    parts = parameters_by_part(network)
    assert sum(parts.values()) == sum(p.numel() for p in network.parameters())
    assert all(part and not part.endswith(("weight", "bias")) for part in parts)


# Positions ----------------------------------------------------------------------------------------------------


def test_sinusoids_on_paper() -> None:
    matrix = position_matrix(
        text_model(TransformerConfig(embed_size=4, num_heads=1, positions="sinusoidal", context=999))
    )
    assert (matrix.kind, matrix.values.shape) == ("sinusoidal", (MAX_POSITIONS, 4))
    expected = [math.sin(3.0), math.cos(3.0), math.sin(0.03), math.cos(0.03)]
    assert matrix.values[3].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_learned_table_is_shown_as_it_is() -> None:
    model = text_model(TransformerConfig(embed_size=8, context=6, positions="learned"))
    assert isinstance(model.network, TransformerNetwork)
    matrix = position_matrix(model)
    assert model.network.positions.table is not None
    assert torch.equal(matrix.values, model.network.positions.table)


def test_of_rotary_positions_the_cosines() -> None:
    matrix = position_matrix(text_model(SMALL))
    assert (matrix.kind, matrix.values.shape) == ("rotary", (6, 2))
    assert matrix.values[5].tolist() == pytest.approx([math.cos(5.0), math.cos(0.05)], abs=1e-6)


def test_some_models_have_no_positions() -> None:
    for config in (RecurrentConfig(hidden_size=4), TransformerConfig(embed_size=8, positions="none")):
        with pytest.raises(ModelError, match=r"recurrent|without positions"):
            position_matrix(text_model(config))


# Loading ------------------------------------------------------------------------------------------------------


def test_a_model_of_another_kind_is_named(tmp_path: Path) -> None:
    config = modeldir.ModelConfig("dancing", "transformer", {}, 5)
    modeldir.publish(tmp_path, {modeldir.CONFIG: config.to_bytes(), modeldir.WEIGHTS: b""})
    with pytest.raises(ModelError, match="'dancing'"):
        load(str(tmp_path), CPU)
