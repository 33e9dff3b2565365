from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from translation_models import CPU, LOG_PROB, config_of, corpus_of, model_of, save, some_pairs

from seqgen import modeldir
from seqgen.config import Seq2SeqConfig, from_json
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import ConfigError, ModelError, NonFiniteError
from seqgen.tasks.translation.judge import pair_loss
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.score import force_decode


def go_on() -> bool:
    return False


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return corpus_of(tmp_path_factory.mktemp("joint"))


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return corpus_of(tmp_path_factory.mktemp("separate"), joint=False)


def overflowing(corpus: ParallelCorpus) -> TranslationModel:
    """Its weights are finite, as a weights file has to be."""
    model = model_of(corpus)
    model.network.output_matrix.data.sign_().mul_(3e38)
    return model


def test_a_network_that_overflows_is_not_judged(joint: ParallelCorpus) -> None:
    assert joint.valid is not None
    with pytest.raises(NonFiniteError, match="not numbers"):
        pair_loss(overflowing(joint), joint.valid, go_on)


def test_a_network_that_overflows_scores_nothing(joint: ParallelCorpus) -> None:
    with pytest.raises(NonFiniteError, match="not numbers"):
        list(force_decode(overflowing(joint), [("ein hund", "HUND EIN")], 4))


def naive_log_probs(model: TranslationModel, source: str, target: str) -> list[float]:
    """One pair, one position at a time, straight from the definition."""
    tokenizer, network = model.target_tokenizer, model.network
    ids = model.source_tokenizer.encode(source).tolist()
    if model.reverse_source:
        ids = ids[::-1]
    read = torch.tensor([[*ids, model.source_tokenizer.eos_id]])
    assert isinstance(network.config, Seq2SeqConfig)
    first = tokenizer.eos_id if network.config.start == "eos" else tokenizer.bos_id
    said = [*tokenizer.encode(target).tolist(), tokenizer.eos_id]
    found = []
    for place, token in enumerate(said):
        given = torch.tensor([[first, *said[:place]]])
        last = torch.arange(given.shape[1])[None] == place
        with torch.inference_mode():
            logits = network(read, torch.tensor([read.shape[1]]), given, last)
        found.append(logits[0].double().log_softmax(dim=0)[token].item())
    return found


# What the network is given ------------------------------------------------------------------------------------


def test_the_source_ends_with_the_end_symbol_and_is_padded_behind_it(joint: ParallelCorpus) -> None:
    model = model_of(joint)
    tokens, lengths = model.source_tensors([np.array([7, 8, 9]), np.array([5]), np.array([], dtype=np.int64)])
    pad, eos = model.source_tokenizer.pad_id, model.source_tokenizer.eos_id
    assert tokens.tolist() == [[7, 8, 9, eos], [5, eos, pad, pad], [eos, pad, pad, pad]]
    assert lengths.tolist() == [4, 2, 1]


def test_a_reversed_source_still_ends_with_the_end_symbol(joint: ParallelCorpus) -> None:
    model = model_of(joint, reverse_source=True)
    tokens, lengths = model.source_tensors([np.array([7, 8, 9]), np.array([5])])
    pad, eos = model.source_tokenizer.pad_id, model.source_tokenizer.eos_id
    assert tokens.tolist() == [[9, 8, 7, eos], [5, eos, pad, pad]]
    assert lengths.tolist() == [4, 2]


@pytest.mark.parametrize("start", ["eos", "sos"])
def test_the_decoder_is_given_what_it_should_have_said_one_place_before(joint: ParallelCorpus, start: str) -> None:
    model = model_of(joint, start=start)
    tokenizer = model.target_tokenizer
    first = tokenizer.eos_id if start == "eos" else tokenizer.bos_id
    given, said, where = model.target_tensors([np.array([7, 8, 9]), np.array([5])])
    pad, eos = tokenizer.pad_id, tokenizer.eos_id
    assert given.tolist() == [[first, 7, 8, 9], [first, 5, pad, pad]]
    assert said.tolist() == [[7, 8, 9, eos], [5, eos, pad, pad]]
    assert where.tolist() == [[True] * 4, [True, True, False, False]]


def test_the_same_seed_gives_the_same_weights(joint: ParallelCorpus) -> None:
    one, same, other = (TranslationModel.new(config_of(), joint, seed).network.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["readout.weight"], other["readout.weight"])


# Judging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [{}, {"reverse_source": True, "start": "eos"}, {"attention": "none"}], ids=str)
def test_scores_are_those_of_the_definition(joint: ParallelCorpus, chosen: dict[str, Any]) -> None:
    model = model_of(joint, scale=1.5, **chosen)
    pairs = [*some_pairs(7, seed=4), ("", ""), ("ein hund", ""), ("", "EIN"), ("ein Zebra 🙂", "ЁЖ")]
    for batch_size in (1, 4, 64):
        scored = list(force_decode(model, iter(pairs), batch_size))
        assert [(s.source, s.target) for s in scored] == pairs
        for s in scored:
            assert s.log_probs == pytest.approx(naive_log_probs(model, s.source, s.target), abs=LOG_PROB)
            assert len(s.tokens) == len(s.log_probs)
            assert s.tokens[-1] == "</s>"


def test_no_more_pairs_are_read_than_are_scored_together(joint: ParallelCorpus) -> None:
    read: list[int] = []

    def pairs() -> Any:
        for number, pair in enumerate(some_pairs(10)):
            read.append(number)
            yield pair

    scored = force_decode(model_of(joint), pairs(), 1)
    for number in range(10):
        next(scored)
        assert len(read) == number + 1


def test_the_loss_is_the_mean_over_all_tokens_of_all_pairs(separate: ParallelCorpus) -> None:
    model = model_of(separate, scale=1.5)
    assert separate.valid is not None
    measures = pair_loss(model, separate.valid, go_on)
    lines = zip(separate.valid_source_lines(), separate.valid_target_lines(), strict=True)
    log_probs = [x for source, target in lines for x in naive_log_probs(model, source, target)]
    assert measures is not None
    assert measures["loss"] == pytest.approx(-sum(log_probs) / len(log_probs), abs=LOG_PROB)
    assert measures["perplexity"] == pytest.approx(math.exp(measures["loss"]))


def test_the_loss_does_not_hang_on_which_pairs_stand_together(
    joint: ParallelCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, losses = model_of(joint, scale=1.5), []
    assert joint.valid is not None
    for size in (1, 3, 64):
        monkeypatch.setattr("seqgen.tasks.translation.judge.VALIDATION_PAIRS", size)
        measures = pair_loss(model, joint.valid, go_on)
        assert measures is not None
        losses.append(measures["loss"])
    assert losses == pytest.approx([losses[0]] * 3, abs=LOG_PROB)


def test_a_uniform_network_scores_the_logarithm_of_the_vocabulary(joint: ParallelCorpus) -> None:
    model = model_of(joint, scale=0.0)
    assert joint.valid is not None
    measures = pair_loss(model, joint.valid, go_on)
    # ln 300 = 5.703782
    assert measures == pytest.approx({"loss": 5.703782, "perplexity": 300.0}, rel=1e-4)


def test_judging_stops_when_it_is_asked_to(joint: ParallelCorpus) -> None:
    assert joint.valid is not None
    assert pair_loss(model_of(joint), joint.valid, lambda: True) is None


# Directories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_joint", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_comes_back(
    is_joint: bool, tied: bool, joint: ParallelCorpus, separate: ParallelCorpus, tmp_path: Path
) -> None:
    model = model_of(joint if is_joint else separate, tied=tied, reverse_source=True, start="eos")
    names = {"tokenizer.model"} if is_joint else {"source.model", "target.model"}
    assert set(model.files()) == {"config.json", *names}
    loaded = TranslationModel.load(str(save(model, tmp_path / "m")), CPU)
    assert loaded.network.config == model.network.config
    assert (loaded.directory, loaded.start_id) == (tmp_path / "m", model.start_id)
    for name, value in model.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    assert not loaded.network.training
    assert not any(p.requires_grad for p in loaded.network.parameters())
    assert loaded.source_tokenizer.to_bytes() == model.source_tokenizer.to_bytes()
    assert loaded.target_tokenizer.to_bytes() == model.target_tokenizer.to_bytes()
    pairs = some_pairs(3, seed=9)
    assert list(force_decode(loaded, pairs, 64)) == list(force_decode(model, pairs, 64))


def test_half_precision_weights_are_read_as_single(joint: ParallelCorpus, tmp_path: Path) -> None:
    model = model_of(joint)
    model.network.half()
    loaded = TranslationModel.load(str(save(model, tmp_path / "m")), CPU)
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_bytes())
        change(config)
        (directory / "config.json").write_text(json.dumps(config))

    return edit


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / name).write_bytes(content)

    return write


def remade(directory: Path) -> None:
    """A manifest that vouches for whatever stands there."""
    names = [p.name for p in directory.iterdir() if p.is_file() and p.name != modeldir.MANIFEST]
    modeldir.publish(directory, {name: (directory / name).read_bytes() for name in names})


TEXT_PIECES = SentencePieceTokenizer.train(["ein hund rennt durch den schnee"] * 9, 270).to_bytes()

HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "another task": (edited(lambda c: c.update(task="language-model")), "not a translation model"),
    "another architecture": (edited(lambda c: c.update(architecture="psychic")), "'psychic' is unknown"),
    "no source vocabulary": (edited(lambda c: c.pop("source_vocab_size")), "300 tokens, not 0"),
    "a larger source vocabulary": (edited(lambda c: c.update(source_vocab_size=301)), "300 tokens, not 301"),
    "a smaller source vocabulary": (edited(lambda c: c.update(source_vocab_size=20)), "300 tokens, not 20"),
    "a smaller vocabulary": (edited(lambda c: c.update(vocab_size=20)), "300 tokens, not 20"),
    "a negative vocabulary": (edited(lambda c: c.update(source_vocab_size=-1)), "out of range"),
    "another size": (edited(lambda c: c["network"].update(hidden_size=14)), "config.json asks for"),
    "an absurd size": (edited(lambda c: c["network"].update(hidden_size=10**9)), "hidden-size"),
    "an odd size": (edited(lambda c: c["network"].update(hidden_size=13)), "must be even"),
    "an unknown attention": (edited(lambda c: c["network"].update(attention="psychic")), "attention"),
    "an unknown field": (edited(lambda c: c["network"].update(atention="dot")), "meant 'attention'"),
    "no tokenizer": (lambda directory: (directory / "tokenizer.model").unlink(), "tokenizer.model is missing"),
    "no tokenizer at all": (replaced("tokenizer.model", b"no such thing"), "not a sentencepiece model"),
    "an empty tokenizer": (replaced("tokenizer.model", b""), "tokenizer.model"),
    "a tokenizer of text": (replaced("tokenizer.model", TEXT_PIECES), "no symbols for padding"),
    "a tokenizer of characters": (replaced("tokenizer.model", CharTokenizer("ab").to_bytes()), "sentencepiece"),
    "separate vocabularies": (edited(lambda c: c["network"].update(joint=False)), "source.model is missing"),
    "no weights": (lambda directory: (directory / "model.safetensors").unlink(), "model.safetensors"),
    "damaged weights": (replaced("model.safetensors", b"x" * 100), "not a whole safetensors file"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_directory_is_an_error_that_names_the_fault(what: str, joint: ParallelCorpus, tmp_path: Path) -> None:
    change, said = HOSTILE[what]
    directory = save(model_of(joint), tmp_path / "m")
    change(directory)
    remade(directory)
    with pytest.raises(ModelError) as caught:
        TranslationModel.load(str(directory), CPU)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_weights_for_a_smaller_source_vocabulary_than_the_tokenizer_are_refused(
    joint: ParallelCorpus, tmp_path: Path
) -> None:
    """Config and weights agree with each other, so that only the tokenizer gives them away."""
    model = model_of(joint, tied=False)
    model.network.source_embedding.weight.data = model.network.source_embedding.weight.data[:20]
    directory = save(model, tmp_path / "m")
    edited(lambda c: c.update(source_vocab_size=20))(directory)
    remade(directory)
    with pytest.raises(ModelError, match="300 tokens, not 20"):
        TranslationModel.load(str(directory), CPU)


def test_values_that_are_not_finite_are_refused(joint: ParallelCorpus, tmp_path: Path) -> None:
    model = model_of(joint)
    model.network.output_bias.data[0] = math.nan
    with pytest.raises(ModelError, match="not finite"):
        TranslationModel.load(str(save(model, tmp_path / "m")), CPU)


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        TranslationModel.load(str(tmp_path / "nothing"), CPU)


def test_a_size_out_of_range_names_the_field() -> None:
    with pytest.raises(ConfigError, match=r"here: layers is 0"):
        from_json(Seq2SeqConfig, {"num_layers": 0}, where="here")
