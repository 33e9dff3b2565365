"""What a model looks at, watched from outside while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from translation_models import corpus_of, model_of

from seqgen.config import RecurrentConfig, TransformerConfig, TransformerSeq2SeqConfig
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import DataError, ModelError, NonFiniteError
from seqgen.nets.transformer.attention import KeysValues, MultiHeadAttention
from seqgen.tasks.attention_maps import MAX_TOKENS, AttentionMaps, language_maps, translation_maps, watched
from seqgen.tasks.language.model import LanguageModel, new_network
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translator

SIZES: dict[str, Any] = {"embed_size": 16, "num_layers": 3, "num_heads": 2, "ffn_size": 24, "dropout": 0.0}
SOURCE, TARGET = "ein hund rennt durch den schnee", "SCHNEE DEN DURCH"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return corpus_of(tmp_path_factory.mktemp("corpus"))


def text_model(config: RecurrentConfig | TransformerConfig | None = None, chars: str = "abc \n") -> LanguageModel:
    tokenizer = CharTokenizer(chars)
    network = new_network(config or TransformerConfig(**SIZES), tokenizer, 0).eval().requires_grad_(False)
    return LanguageModel(network, tokenizer, Path("m"))


def pair_model(corpus: ParallelCorpus, **chosen: Any) -> TranslationModel:
    model = TranslationModel.new(TransformerSeq2SeqConfig(**SIZES, **chosen), corpus, 0)
    model.network.eval().requires_grad_(False)
    return model


def check(maps: AttentionMaps, layers: int, heads: int) -> None:
    assert maps.weights.shape == (layers, heads, len(maps.rows), len(maps.columns))
    torch.testing.assert_close(maps.weights.sum(-1), torch.ones(maps.weights.shape[:-1]))
    assert bool((maps.weights >= 0).all())


# Language models ----------------------------------------------------------------------------------------------


def test_a_causal_map_is_lower_triangular() -> None:
    (maps,) = language_maps(text_model(), "abc cab")
    check(maps, layers=3, heads=2)
    assert (maps.kind, maps.rows) == ("self-attention", tuple("abc▁cab"))
    assert maps.columns == maps.rows
    assert torch.equal(maps.weights, maps.weights.tril())
    assert bool((maps.weights[..., 0, 0] == 1).all())


def test_without_a_mask_it_looks_ahead() -> None:
    (maps,) = language_maps(text_model(TransformerConfig(**SIZES, causal=False)), "abc cab")
    check(maps, layers=3, heads=2)
    assert bool((maps.weights > 0).all())


@pytest.mark.parametrize("chosen", [{"positions": "learned"}, {"norm": "post"}, {"num_heads": 4, "num_kv_heads": 2}])
def test_every_kind_of_transformer_can_be_watched(chosen: dict[str, Any]) -> None:
    config = TransformerConfig(**{**SIZES, **chosen})
    (maps,) = language_maps(text_model(config), "cab")
    check(maps, layers=3, heads=config.num_heads)


def test_a_network_that_overflows_looks_at_nothing(corpus: ParallelCorpus) -> None:
    text, pairs = text_model(), pair_model(corpus)
    for network in (text.network, pairs.network):
        network.output_matrix.data.sign_().mul_(3e38)  # the embedding too; finite, as a weights file has to be
    with pytest.raises(NonFiniteError, match="not numbers"):
        language_maps(text, "abc")
    with pytest.raises(NonFiniteError, match="not numbers"):
        translation_maps(pairs, SOURCE, TARGET)


def test_what_cannot_be_printed_is_escaped() -> None:
    (maps,) = language_maps(text_model(), "a\nz b")
    assert maps.rows == ("a", "\\n", "\N{REPLACEMENT CHARACTER}", "▁", "b")


def test_a_text_of_subwords() -> None:
    tokenizer = SentencePieceTokenizer.train(["ab ba\n"] * 20 + ["ab\n"], 262)
    network = new_network(TransformerConfig(**SIZES), tokenizer, 0).eval().requires_grad_(False)
    (maps,) = language_maps(LanguageModel(network, tokenizer, Path("m")), "ab ba")
    assert "".join(maps.rows).replace("▁", " ").strip() == "ab ba"


def test_a_text_has_to_fit() -> None:
    short = text_model(TransformerConfig(**SIZES, context=4))
    assert len(language_maps(short, "abca")[0].rows) == 4
    with pytest.raises(DataError, match="the text has 5 tokens; maps show 1 to 4"):
        language_maps(short, "abcab")
    with pytest.raises(DataError, match="the text has 0 tokens"):
        language_maps(short, "")


def test_a_recurrent_language_model_has_no_attention() -> None:
    with pytest.raises(ModelError, match="no Transformer"):
        language_maps(text_model(RecurrentConfig(hidden_size=4, embed_size=4)), "abc")


# Translation --------------------------------------------------------------------------------------------------


def test_an_encoder_decoder_has_three_kinds(corpus: ParallelCorpus) -> None:
    encoder, decoder, cross = translation_maps(pair_model(corpus, decoder_layers=1), SOURCE, TARGET)
    check(encoder, layers=3, heads=2)
    check(decoder, layers=1, heads=2)
    check(cross, layers=1, heads=2)
    assert bool((encoder.weights > 0).all())
    assert torch.equal(decoder.weights, decoder.weights.tril())
    assert encoder.rows == encoder.columns == cross.columns
    assert "".join(encoder.rows).replace("▁", " ") == f" {SOURCE}</s>"
    assert "".join(cross.rows).replace("▁", " ") == f" {TARGET}</s>"
    assert decoder.rows == cross.rows
    assert decoder.columns == ("<s>", *decoder.rows[:-1])


def test_without_a_target_the_model_writes_one(corpus: ParallelCorpus) -> None:
    model = pair_model(corpus)
    (translation,) = Translator([model]).stream([SOURCE])
    *_, cross = translation_maps(model, SOURCE)
    assert cross.rows == translation.outputs[0].tokens
    assert cross.columns == translation.source_tokens


@pytest.mark.parametrize(
    "chosen", [{"attention": "dot"}, {"attention": "additive", "input_feeding": False}, {"reverse_source": True}]
)
def test_a_recurrent_decoder_has_the_map_that_its_search_saw(corpus: ParallelCorpus, chosen: dict[str, Any]) -> None:
    model = model_of(corpus, scale=3.0, **chosen)
    (translation,) = Translator([model], attention=True).stream([SOURCE])
    best = translation.outputs[0]
    (maps,) = translation_maps(model, SOURCE)
    check(maps, layers=1, heads=1)
    assert (maps.rows, maps.columns) == (best.tokens, translation.source_tokens)
    assert best.hypothesis.attention is not None
    torch.testing.assert_close(maps.weights[0, 0], best.hypothesis.attention, rtol=1e-4, atol=1e-5)


def test_an_empty_target_is_its_end(corpus: ParallelCorpus) -> None:
    *_, cross = translation_maps(pair_model(corpus), SOURCE, "")
    assert cross.rows == ("</s>",)


def test_sentences_have_to_fit(corpus: ParallelCorpus) -> None:
    model = pair_model(corpus)
    with pytest.raises(DataError, match="the sentence has 0 tokens"):
        translation_maps(model, "  ")
    for pair in ((SOURCE * 99, "a"), (SOURCE, "A " * (MAX_TOKENS + 1))):
        with pytest.raises(DataError, match=rf"maps show . to {MAX_TOKENS}"):
            translation_maps(model, *pair)


def test_without_attention_there_is_nothing_to_show(corpus: ParallelCorpus) -> None:
    with pytest.raises(ModelError, match="without attention"):
        translation_maps(model_of(corpus, attention="none"), SOURCE)


# Watching -----------------------------------------------------------------------------------------------------


def attention() -> tuple[MultiHeadAttention, torch.Tensor, KeysValues]:
    torch.manual_seed(0)
    module = MultiHeadAttention(TransformerConfig(**SIZES)).eval()
    x = torch.randn(1, 5, 16)
    return module, module.queries(x), KeysValues(*module.keys_values(x), causal=True)


def test_the_weights_explain_what_the_network_computes() -> None:
    module, queries, keys_values = attention()
    with watched([module]) as weights:
        found = module(queries, keys_values)
    explained = (weights[module][0] @ keys_values.values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(explained, found)


def test_calls_are_kept_in_order_and_nothing_is_watched_afterwards() -> None:
    module, queries, keys_values = attention()
    with watched([module]) as weights:
        module(queries, keys_values)
        module(queries[:, :, :2], keys_values)
    assert [tuple(each.shape) for each in weights[module]] == [(1, 2, 5, 5), (1, 2, 2, 5)]
    module(queries, keys_values)
    assert len(weights[module]) == 2


def test_nothing_is_watched_after_an_error() -> None:
    module, queries, keys_values = attention()
    with pytest.raises(ZeroDivisionError), watched([module]) as weights:
        raise ZeroDivisionError
    module(queries, keys_values)
    assert weights[module] == []
