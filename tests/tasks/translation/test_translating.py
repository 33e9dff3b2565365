from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from translation_models import WORDS, config_of, corpus_of, model_of, some_pairs

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import vocab_size
from seqgen.errors import ModelError, NonFiniteError, UsageError
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.tasks.targets import Method
from seqgen.tasks.translation import translate as translating
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.score import force_decode
from seqgen.tasks.translation.translate import Translation, Translator

METHODS: tuple[Method, ...] = get_args(Method)
# Proofs are short with few tokens and nodes; the answer is the same with neighbours all the same.
SEARCH = SearchConfig(beam_size=3, max_nodes=60, max_seconds=0.0)
# A search that ends with its budget almost used up may not end in other company: a sum rounds otherwise, and two nodes
# change places.
NEAR_END = 50

every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return corpus_of(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def model(corpus: ParallelCorpus) -> TranslationModel:
    """Random, but sure enough of itself that near-ties are rare."""
    return model_of(corpus, scale=2.5)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [source for source, _ in some_pairs(30, seed=7)]


def translator_of(model: TranslationModel, method: Method = "beam", **chosen: Any) -> Translator:
    settings = {"search": SEARCH, "max_length": 8, "seed": 5, **chosen}
    return Translator([model], method, **settings)


def found(translations: list[Translation]) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    return [(t.source, tuple(o.hypothesis.token_ids for o in t.outputs)) for t in translations]


@every_method
@pytest.mark.parametrize("company", [0, 1])
def test_a_network_that_overflows_translates_nothing(method: Method, company: int, corpus: ParallelCorpus) -> None:
    broken = model_of(corpus)
    broken.network.output_matrix.data.sign_().mul_(3e38)  # finite, as a weights file has to be
    models = [model_of(corpus, seed=i) for i in range(company)]
    with pytest.raises(NonFiniteError, match="not numbers"):
        list(Translator([*models, broken], method, SEARCH).stream(["ein hund"]))


# Order and neighbours -----------------------------------------------------------------------------------------


@every_method
def test_lines_come_out_in_order_and_empty_ones_stay_empty(
    method: Method, model: TranslationModel, lines: list[str]
) -> None:
    mixed = ["", *lines[:5], "   ", "", *lines[5:8], ""]
    translations = list(translator_of(model, method, batch_size=3).stream(mixed))
    assert [t.source for t in translations] == mixed
    for line, translation in zip(mixed, translations, strict=True):
        assert bool(translation.outputs) == bool(line.strip())
        if not line.strip():
            assert (translation.text, translation.source_tokens, translation.found.proof) == ("", (), None)
    assert list(translator_of(model, method).stream([])) == []


@every_method
@pytest.mark.parametrize("batch_size", [7, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 64))])
def test_the_answer_does_not_hang_on_the_batch(
    method: Method, batch_size: int, model: TranslationModel, lines: list[str]
) -> None:
    alone = list(translator_of(model, method, batch_size=1).stream(lines))
    together = list(translator_of(model, method, batch_size=batch_size).stream(lines))
    assert found(together) == found(alone)
    for one, other in zip(alone, together, strict=True):
        a, b = one.outputs[0].hypothesis, other.outputs[0].hypothesis
        assert b.log_probs == pytest.approx(a.log_probs, abs=1e-4)
        assert b.score == pytest.approx(a.score, abs=1e-4)
        assert (one.found.proof is None) == (other.found.proof is None) == (method != "exhaustive")
        if (
            one.found.proof is not None
            and other.found.proof is not None
            and max(one.found.proof.nodes, other.found.proof.nodes) < NEAR_END
        ):
            assert other.found.proof.optimal == one.found.proof.optimal


@pytest.mark.parametrize("method", ["greedy", "beam", "exhaustive"])
def test_the_answer_does_not_hang_on_the_order_or_on_long_neighbours(
    method: Method, model: TranslationModel, lines: list[str]
) -> None:
    expected = dict(found(list(translator_of(model, method).stream(lines))))
    shuffled = [*lines, " ".join(WORDS * 6), " ".join(WORDS * 20)]
    random.Random(1).shuffle(shuffled)
    again = dict(found(list(translator_of(model, method, batch_size=16).stream(shuffled))))
    assert {line: again[line] for line in expected} == expected


def test_what_a_line_draws_hangs_on_its_place_and_the_seed_alone(model: TranslationModel, lines: list[str]) -> None:
    one = list(translator_of(model, "sample").stream(lines))
    other = list(translator_of(model, "sample").stream([lines[0] + " " + WORDS[0], *lines[1:]]))
    assert found(one)[1:] == found(other)[1:]
    assert found(one) != found(list(translator_of(model, "sample", seed=6).stream(lines)))
    same = [t.text for t in translator_of(model, "sample", max_length=20).stream([lines[0]] * 8)]
    assert len(set(same)) > 1


def test_a_cold_draw_is_greedy(model: TranslationModel, lines: list[str]) -> None:
    cold = translator_of(model, "sample", sampling=SamplingConfig(temperature=0.0)).stream(lines)
    assert found(list(cold)) == found(list(translator_of(model, "greedy").stream(lines)))


@every_method
def test_scores_are_those_of_force_decoding(method: Method, model: TranslationModel, lines: list[str]) -> None:
    """The step by step path and the whole targets of training agree, on what the search itself has found."""
    for t in translator_of(model, method, max_length=0).stream(lines[:10]):
        hypothesis, target = t.outputs[0].hypothesis, model.target_tokenizer
        ids = torch.tensor([[model.start_id, *hypothesis.token_ids]])
        said = torch.tensor([*hypothesis.token_ids, target.eos_id])
        source = model.source_tensors([model.source_tokenizer.encode(t.source)])
        with torch.inference_mode():
            logits = model.network(*source, ids, torch.ones_like(ids, dtype=torch.bool))
        expected = logits.log_softmax(dim=-1).gather(1, said[:, None])[:, 0].tolist()
        assert hypothesis.log_probs == pytest.approx(expected, abs=1e-4)
        assert hypothesis.score == pytest.approx(sum(expected), abs=1e-3)


def test_products_in_bf16_change_scores_by_little(model: TranslationModel, lines: list[str]) -> None:
    exact, rounded = (
        [t.outputs[0].hypothesis for t in translator_of(model, dtype=dtype).stream(lines)]
        for dtype in (torch.float32, torch.bfloat16)
    )
    same = [(a, b) for a, b in zip(exact, rounded, strict=True) if a.token_ids == b.token_ids]
    assert len(same) >= 0.8 * len(lines)
    assert all(b.score == pytest.approx(a.score, abs=0.2) for a, b in same)
    assert any(a.score != b.score for a, b in same)


def test_each_search_is_at_least_as_good_as_the_one_before(model: TranslationModel, lines: list[str]) -> None:
    scores = {
        method: [t.outputs[0].hypothesis.score for t in translator_of(model, method).stream(lines)]
        for method in ("beam", "exhaustive")
    }
    assert all(e >= b - 1e-5 for b, e in zip(scores["beam"], scores["exhaustive"], strict=True))


# The stream ---------------------------------------------------------------------------------------------------


def counted(lines: Iterator[str], read: list[int]) -> Iterator[str]:
    for line in lines:
        read[0] += 1
        yield line


def test_one_at_a_time_each_answer_is_there_before_the_next_line_is_read(
    model: TranslationModel, lines: list[str]
) -> None:
    read = [0]
    stream = translator_of(model, "greedy", batch_size=1).stream(counted(iter(lines), read))
    for number in range(len(lines)):
        next(stream)
        assert read[0] == number + 1


def test_what_comes_before_a_faulty_line_is_answered_first(model: TranslationModel, lines: list[str]) -> None:
    def faulty() -> Iterator[str]:
        yield from lines[:3]
        raise UsageError("line 4 is no text")

    answers = Translator([model], "greedy").stream(faulty())
    assert [next(answers).source for _ in range(3)] == lines[:3]
    with pytest.raises(UsageError):
        next(answers)


def test_only_a_window_of_an_endless_stream_is_held(model: TranslationModel) -> None:
    read = [0]
    endless = counted((WORDS[i % 16] for i in range(100_000)), read)
    stream = translator_of(model, "greedy", batch_size=4, max_length=2).stream(endless)
    window = 4 * translating.BATCHES_AT_ONCE
    for number in range(200):
        next(stream)
        assert read[0] <= number + window
    assert read[0] <= 200 + window


def test_batches_keep_to_both_limits(model: TranslationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[torch.Size] = []
    encode = model.network.encode

    def watched(source: torch.Tensor, lengths: torch.Tensor) -> Any:
        shapes.append(source.shape)
        return encode(source, lengths)

    monkeypatch.setattr(model.network, "encode", watched)
    sources = [source for source, _ in some_pairs(60, seed=2)]
    whole = found(list(translator_of(model, "greedy", batch_size=16).stream(sources)))
    assert max(rows for rows, _ in shapes) == 16
    shapes.clear()
    longest = " ".join(WORDS)
    some = list(translator_of(model, "greedy", batch_size=16, batch_tokens=24).stream([*sources, longest]))
    assert found(some)[:-1] == whole
    assert max(rows for rows, _ in shapes) > 1
    assert all(rows * width <= 24 or rows == 1 for rows, width in shapes)
    assert any(width > 24 for _, width in shapes)  # a long one goes alone


def test_a_very_wide_beam_takes_fewer_sentences_at_a_time(
    model: TranslationModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found_before = found(list(translator_of(model, "beam", batch_size=16).stream(lines[:8])))
    batches, encode = list[int](), model.network.encode

    def watched(source: torch.Tensor, lengths: torch.Tensor) -> Any:
        batches.append(len(source))
        return encode(source, lengths)

    monkeypatch.setattr(model.network, "encode", watched)
    monkeypatch.setattr(translating, "MOST_ROWS", 3 * SEARCH.beam_size)
    assert found(list(translator_of(model, "beam", batch_size=16).stream(lines[:8]))) == found_before
    assert batches == [3, 3, 2]


# Lengths ------------------------------------------------------------------------------------------------------


def test_outputs_end_at_the_greatest_length(model: TranslationModel, lines: list[str]) -> None:
    for method in METHODS:
        for t in translator_of(model, method, max_length=3).stream(lines[:6]):
            assert all(len(o.tokens) <= 3 for o in t.outputs)
            assert all(o.tokens[-1] == "</s>" for o in t.outputs)
    [t] = translator_of(model, "greedy", max_length=1).stream(lines[:1])
    assert t.outputs[0].tokens == ("</s>",)
    assert t.text == ""


def test_without_a_length_it_is_twice_the_source_and_ten(corpus: ParallelCorpus) -> None:
    model = model_of(corpus)
    model.network.output_bias[model.target_tokenizer.eos_id] = -1e4  # it never wants to end
    [t] = Translator([model], "greedy").stream(["ein hund"])
    assert len(t.outputs[0].tokens) == 2 * len(t.source_tokens) + 10


def test_a_line_that_is_too_long_is_cut_and_says_so(
    model: TranslationModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = model.source_tokenizer.encode(" ".join(lines))
    monkeypatch.setattr(translating, "MAX_SOURCE_TOKENS", 12)
    long, short, exact = translator_of(model, "greedy").stream([" ".join(lines), WORDS[0], lines[0]])
    assert (long.cut, short.cut) == (True, False)
    assert len(long.source_tokens) == 13
    assert long.source_tokens[:-1] == tuple(map(model.source_tokenizer.piece, ids[:12].tolist()))
    assert exact.cut == (len(model.source_tokenizer.encode(lines[0])) > 12)
    monkeypatch.setattr(translating, "MAX_SOURCE_TOKENS", len(ids))
    [whole] = translator_of(model, "greedy").stream([" ".join(lines)])
    assert not whole.cut


# Prefixes, reversed sources, bytes ----------------------------------------------------------------------------


@every_method
def test_every_output_begins_with_the_prefix(method: Method, model: TranslationModel, lines: list[str]) -> None:
    prefix = "DEN HUND"
    forced = model.target_tokenizer.encode(prefix).tolist()
    for max_length in (2, 12, 0):  # a prefix longer than the greatest length still stands whole
        translator = translator_of(model, method, prefix=prefix, max_length=max_length)
        for t in translator.stream([*lines[:4], ""]):
            assert all(list(o.hypothesis.token_ids[: len(forced)]) == forced for o in t.outputs)
            assert all(o.text.startswith(prefix) for o in t.outputs)
            assert bool(t.outputs) == bool(t.source)


def test_a_reversed_source_is_shown_as_the_encoder_reads_it(corpus: ParallelCorpus) -> None:
    model = model_of(corpus, reverse_source=True, scale=2.5)
    plain = model_of(corpus, reverse_source=False, scale=2.5)  # the same weights
    [t] = translator_of(model, "greedy").stream(["ein hund rennt"])
    pieces = [model.source_tokenizer.piece(i) for i in model.source_tokenizer.encode("ein hund rennt").tolist()]
    assert t.source_tokens == (*pieces[::-1], "</s>")
    backwards = model.source_tokenizer.encode("ein hund rennt")[::-1]
    steps = plain.source_tensors([backwards])
    assert torch.equal(model.source_tensors([backwards[::-1]])[0], steps[0])
    assert list(force_decode(model, [("ein hund", "HUND")], 1)) != list(force_decode(plain, [("ein hund", "HUND")], 1))


def test_no_output_has_a_line_feed_or_a_tab(corpus: ParallelCorpus) -> None:
    model = model_of(corpus)
    target = model.target_tokenizer
    breaks = [target.token_bytes.index(byte) for byte in (b"\n", b"\t", b"\r")]
    assert all(target.piece(i).startswith("<0x") for i in breaks)
    for wanted in breaks:
        model.network.output_bias.zero_()
        model.network.output_bias[wanted] = 1e3
        [t] = translator_of(model, "greedy", max_length=4).stream(["ein hund"])
        assert t.outputs[0].hypothesis.token_ids == (wanted,) * 3
        assert t.text == "   "
        assert t.outputs[0].tokens[0].startswith("<0x")


def test_bytes_that_are_no_characters_become_the_replacement_character(corpus: ParallelCorpus) -> None:
    model = model_of(corpus)
    model.network.output_bias[model.target_tokenizer.token_bytes.index(b"\xff")] = 1e3
    [t] = translator_of(model, "greedy", max_length=2).stream(["ein hund"])
    assert t.text == "\N{REPLACEMENT CHARACTER}"


@every_method
def test_special_tokens_are_never_said(method: Method, corpus: ParallelCorpus) -> None:
    model = model_of(corpus)
    target = model.target_tokenizer
    banned = [target.pad_id, target.unk_id, target.bos_id]
    model.network.output_bias[banned] = 20.0
    for t in translator_of(model, method, max_length=5).stream(["ein hund", "schnee"]):
        assert not {i for o in t.outputs for i in o.hypothesis.token_ids} & set(banned)


def test_text_is_the_detokenised_tokens(model: TranslationModel, lines: list[str]) -> None:
    for t in translator_of(model).stream(lines[:5]):
        joined = "".join(t.outputs[0].tokens[:-1])
        if "<0x" not in joined:
            assert t.text == joined.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").removeprefix(" ")


# Attention and trees ------------------------------------------------------------------------------------------


@every_method
def test_attention_is_kept_when_asked_for(method: Method, model: TranslationModel, lines: list[str]) -> None:
    for t in translator_of(model, method, attention=True, batch_size=8).stream(lines[:8]):
        look = t.outputs[0].hypothesis.attention
        assert look is not None
        assert look.shape == (len(t.outputs[0].tokens), len(t.source_tokens))
        torch.testing.assert_close(look.sum(dim=1), torch.ones(len(look)))
    [t] = translator_of(model, method).stream(lines[:1])
    assert t.outputs[0].hypothesis.attention is None


def test_a_model_without_attention_has_none_to_keep(corpus: ParallelCorpus) -> None:
    model = model_of(corpus, attention="none", scale=2.5)
    for method in METHODS:
        [t] = translator_of(model, method, attention=True).stream(["ein hund"])
        assert t.outputs[0].hypothesis.attention is None


def test_trees_are_kept_when_asked_for(model: TranslationModel, lines: list[str]) -> None:
    for method in ("beam", "exhaustive"):
        for t in translator_of(model, method, trees=True, batch_size=4).stream(["", *lines[:5]]):
            assert bool(t.found.tree) == bool(t.source)
        [t] = translator_of(model, method).stream(lines[:1])
        assert t.found.tree == ()


def test_the_n_best_are_different_and_in_order(model: TranslationModel, lines: list[str]) -> None:
    search = dataclasses.replace(SEARCH, n_best=3, max_nodes=2000)
    for method in ("beam", "exhaustive"):
        for t in translator_of(model, method, search=search).stream(lines[:4]):
            scores = [o.hypothesis.score for o in t.outputs]
            assert len({o.hypothesis.token_ids for o in t.outputs}) == len(scores) == 3
            assert scores == sorted(scores, reverse=True)


# Ensembles ----------------------------------------------------------------------------------------------------


@every_method
def test_a_model_with_itself_is_the_model(method: Method, model: TranslationModel, lines: list[str]) -> None:
    settings: dict[str, Any] = {"search": SEARCH, "max_length": 8, "seed": 5}
    both = list(Translator([model, model], method, **settings).stream(lines[:12]))
    one = list(Translator([model], method, **settings).stream(lines[:12]))
    assert found(both) == found(one)
    for a, b in zip(both, one, strict=True):
        assert a.outputs[0].hypothesis.score == pytest.approx(b.outputs[0].hypothesis.score, abs=1e-4)


def test_an_ensemble_says_what_none_of_its_models_says_alone(corpus: ParallelCorpus, lines: list[str]) -> None:
    models = [model_of(corpus, scale=2.0, seed=seed, attention=a) for seed, a in ((1, "dot"), (2, "none"))]
    both = list(Translator(models, "beam", SEARCH, max_length=8, attention=True).stream(lines[:5]))
    for t in both:
        ids = t.outputs[0].hypothesis.token_ids
        probs = torch.stack([teacher_probs(m, t.source, ids) for m in models]).mean(dim=0)
        assert t.outputs[0].hypothesis.log_probs == pytest.approx(probs.log().tolist(), abs=1e-4)
        look = t.outputs[0].hypothesis.attention
        assert look is not None
        torch.testing.assert_close(look.sum(dim=1), torch.ones(len(look)))


def teacher_probs(model: TranslationModel, source: str, ids: tuple[int, ...]) -> torch.Tensor:
    given = torch.tensor([[model.start_id, *ids]])
    said = torch.tensor([*ids, model.target_tokenizer.eos_id])
    read = model.source_tensors([model.source_tokenizer.encode(source)])
    with torch.inference_mode():
        logits = model.network(*read, given, torch.ones_like(given, dtype=torch.bool))
    probs: torch.Tensor = logits.softmax(dim=-1).gather(1, said[:, None])[:, 0]
    return probs


def test_models_of_different_target_vocabularies_do_not_go_together(
    model: TranslationModel, other_reader: TranslationModel
) -> None:
    other = TranslationModel(model.network, model.source_tokenizer, other_reader.source_tokenizer)
    with pytest.raises(ModelError, match="another target vocabulary"):
        Translator([model, other])


def test_models_that_start_with_different_symbols_do_not_go_together(
    model: TranslationModel, corpus: ParallelCorpus
) -> None:
    with pytest.raises(ModelError, match="starts with another symbol"):
        Translator([model, model_of(corpus, start="eos")])


@pytest.fixture
def other_reader(model: TranslationModel) -> TranslationModel:
    """A model that writes the same tokens, and cuts sources into other ones."""
    reader = SentencePieceTokenizer.train(["0123 4567 89"] * 9, 272, sentences=True)
    network = Seq2Seq(config_of(joint=False), vocab_size(reader), model.network.vocab_size)
    network.initialise()
    return TranslationModel(network.eval(), reader, model.target_tokenizer)


@every_method
def test_models_may_cut_sources_into_different_tokens(
    method: Method, model: TranslationModel, other_reader: TranslationModel, lines: list[str]
) -> None:
    """Then there is no telling what they look at together."""
    assert len(other_reader.source_tokenizer.encode(lines[0])) != len(model.source_tokenizer.encode(lines[0]))
    translator = Translator([model, other_reader], method, SEARCH, max_length=8, attention=True)
    assert not translator.aligned
    translations = list(translator.stream(lines[:10]))
    assert [t.source for t in translations] == lines[:10]
    assert all(t.outputs[0].hypothesis.attention is None for t in translations)
    with pytest.raises(ModelError, match="attention"):
        Translator([model, other_reader], method, SearchConfig(coverage_penalty=0.5))


def test_what_a_reversed_and_a_plain_model_look_at_is_not_mixed_up(corpus: ParallelCorpus, lines: list[str]) -> None:
    plain, backwards = (model_of(corpus, scale=2.0, reverse_source=r) for r in (False, True))
    mixed = Translator([plain, backwards], "greedy", max_length=6, attention=True)
    assert not mixed.aligned
    assert all(t.outputs[0].hypothesis.attention is None for t in mixed.stream(lines[:4]))
    assert Translator([backwards, backwards]).aligned


def test_who_has_attention(corpus: ParallelCorpus) -> None:
    without, with_it = model_of(corpus, attention="none"), model_of(corpus)
    assert [Translator(m).aligned for m in ([without], [with_it], [without, with_it])] == [False, True, True]
    with pytest.raises(ModelError, match="attention"):
        Translator([without], search=SearchConfig(coverage_penalty=0.5))
