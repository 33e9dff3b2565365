from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tolerances import NEAR, assert_near
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from seqgen import modeldir
from seqgen.config import Cell, RecurrentConfig, TextConfig, TransformerConfig, from_json, to_json
from seqgen.data.corpus import Corpus, TokenSpan, build_corpus
from seqgen.data.tokenizers import CharTokenizer
from seqgen.errors import ConfigError, ModelError, NonFiniteError
from seqgen.nets.transformer.language_model import TransformerNetwork
from seqgen.tasks.language.judge import DYNAMIC_TOKENS, evaluate, evaluate_dynamically
from seqgen.tasks.language.model import LanguageModel, LanguageNetwork, language_network, model_files
from seqgen.tasks.language.task import LanguageModelTask

VOCAB = 6
CPU = torch.device("cpu")

every_cell = pytest.mark.parametrize("cell", get_args(Cell))


def network_of(cell: Cell, vocab_size: int = VOCAB, num_layers: int = 2) -> LanguageNetwork:
    """In fp64: a state that is drawn out by weights as large as these shows each rounding of the steps before."""
    config = RecurrentConfig(cell=cell, embed_size=4, hidden_size=8, num_layers=num_layers, dropout=0.0)
    network = language_network(config, vocab_size)
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.6 * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


def random_span(folder: Path, length: int) -> TokenSpan:
    path = folder / "tokens.bin"
    np.random.default_rng(0).integers(VOCAB, size=length).astype(np.uint8).tofile(path)
    return TokenSpan(path, "uint8", 0, length)


def one_pass(network: LanguageNetwork, span: TokenSpan) -> float:
    """The mean cross-entropy of one forward pass over all of it."""
    tokens = torch.from_numpy(span.read(0, len(span)))[None]
    with torch.inference_mode():
        logits, _ = network(tokens[:, :-1], network.initial_state(1))
    return functional.cross_entropy(logits[0].double(), tokens[0, 1:]).item()


# Judging ------------------------------------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("length", [2, 300, 1024, 1025, 1026, 2500])
def test_one_lane_is_one_exact_pass_whatever_the_chunks(tmp_path: Path, cell: Cell, length: int) -> None:
    network, span = network_of(cell), random_span(tmp_path, length)
    measures = evaluate(network, span, lanes=1)
    assert measures is not None
    loss = one_pass(network, span)
    assert measures["loss"] == pytest.approx(loss, abs=NEAR)
    assert measures["perplexity"] == pytest.approx(math.exp(loss), rel=NEAR)
    assert measures["bits_per_char"] == pytest.approx(loss / math.log(2), rel=NEAR)
    assert measures["tokens"] == measures["chars"] == length - 1


def test_a_uniform_network_scores_the_logarithm_of_the_vocabulary(tmp_path: Path) -> None:
    network = network_of("gru")
    torch.nn.init.zeros_(network.output_matrix)
    torch.nn.init.zeros_(network.get_parameter("output.bias"))
    measures = evaluate(network, dataclasses.replace(random_span(tmp_path, 100), chars_per_token=2.0), lanes=1)
    assert measures is not None
    # ln 6 = 1.791759 nats; at two characters a token log2(6) / 2 = 1.292481 bits per character.
    assert measures["loss"] == pytest.approx(1.791759, abs=1e-6)
    assert measures["bits_per_char"] == pytest.approx(1.292481, abs=1e-6)
    assert measures["perplexity"] == pytest.approx(6.0, abs=1e-5)
    assert measures["chars"] == 2 * 99


@pytest.mark.parametrize("lanes", [2, 7, 32])
def test_many_lanes_agree_with_one(tmp_path: Path, lanes: int) -> None:
    network, span = network_of("lstm"), random_span(tmp_path, 20_011)
    exact, fast = evaluate(network, span, lanes=1), evaluate(network, span, lanes=lanes)
    assert exact is not None
    assert fast is not None
    assert fast["loss"] == pytest.approx(exact["loss"], abs=1e-2)
    assert 20_010 - lanes < fast["tokens"] <= 20_010
    assert fast["chars"] == fast["tokens"]


def test_warmed_up_lanes_score_exactly_what_a_forgetful_network_would(tmp_path: Path) -> None:
    # Without recurrence a prediction hangs on the last token alone, so lanes change nothing but the sum.
    network, span = network_of("rnn", num_layers=1), random_span(tmp_path, 256 * 4 + 1)
    network.get_parameter("layers.0.weight_hh_l0").data.zero_()
    exact, fast = evaluate(network, span, lanes=1), evaluate(network, span, lanes=4)
    assert exact is not None
    assert fast is not None
    assert fast["tokens"] == exact["tokens"] == 1024
    assert fast["loss"] == pytest.approx(exact["loss"], abs=NEAR)


def test_a_short_text_is_judged_in_one_lane(tmp_path: Path) -> None:
    network, span = network_of("gru"), random_span(tmp_path, 400)
    measures = evaluate(network, span, lanes=32)
    assert measures is not None
    assert measures["tokens"] == 399
    assert measures["loss"] == pytest.approx(one_pass(network, span), abs=NEAR)


@pytest.mark.parametrize("cell", ["lstm", "window"])
def test_a_bounded_judgement_reads_the_beginning_of_each_lane(tmp_path: Path, cell: Cell) -> None:
    """Against a pass of each lane by itself, from a zero state 128 tokens before it."""
    network, span = network_of(cell), random_span(tmp_path, 4 * 1000 + 1)
    measures = evaluate(network, span, lanes=4, most=600)
    nats = 0.0
    for lane in range(4):
        tokens = torch.from_numpy(span.read_circular([1000 * lane - 128], 128 + 150 + 1))
        logits, _ = network(tokens[:, :-1], network.initial_state(1))
        nats += functional.cross_entropy(logits[0, 128:], tokens[0, 129:], reduction="sum").item()
    assert measures is not None
    assert measures["tokens"] == 600
    assert measures["loss"] == pytest.approx(nats / 600, rel=1e-5)


@every_cell
def test_a_bound_that_the_text_does_not_reach_changes_nothing(tmp_path: Path, cell: Cell) -> None:
    network, span = network_of(cell), random_span(tmp_path, 1200)
    assert evaluate(network, span, lanes=4, most=1199) == evaluate(network, span, lanes=4)


@pytest.mark.parametrize(("share", "most"), [(1.0, 2**17), (0.1, 13_107), (0.0, 4096)])
def test_validation_in_training_is_bounded_and_repeatable(
    share: float, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(*given: Any, **how: Any) -> dict[str, float] | None:
        asked.append(how["most"])
        return evaluate(*given, **how)

    monkeypatch.setattr("seqgen.tasks.language.task.evaluate", counted)
    corpus = corpus_of(tmp_path, valid="0.5")
    task = LanguageModelTask(network_of("rnn"), corpus, 16, batch_size=4, seed=0, validation_share=share)
    assert task.evaluate(lambda: False) == task.evaluate(lambda: False)
    assert asked == [most, most]


@every_cell
def test_a_network_that_overflows_is_not_judged(tmp_path: Path, cell: Cell) -> None:
    network = network_of(cell)
    network.output_matrix.data.sign_().mul_(1.7e308)  # finite, as a weights file has to be
    with pytest.raises(NonFiniteError, match="not numbers"):
        evaluate(network, random_span(tmp_path, 300))


def test_judging_can_be_stopped(tmp_path: Path) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 1

    assert evaluate(network_of("rnn"), random_span(tmp_path, 5000), stop=stop) is None
    assert len(asked) == 2


def test_judging_tells_how_much_was_read(tmp_path: Path) -> None:
    read: list[int] = []
    evaluate(network_of("rnn"), random_span(tmp_path, 2500), advance=read.append)
    assert sum(read) == 2499
    assert len(read) > 1


@every_cell
def test_dynamic_evaluation_predicts_each_part_before_it_learns_from_it(tmp_path: Path, cell: Cell) -> None:
    network, span = network_of(cell), random_span(tmp_path, 2 * DYNAMIC_TOKENS + 8)
    before = parameters_to_vector(network.parameters()).clone()
    measures = evaluate_dynamically(network, span, 0.2)
    assert torch.equal(parameters_to_vector(network.parameters()), before)

    learner, state, nats = network_of(cell).train(), network.initial_state(1), 0.0
    descent = torch.optim.SGD(learner.parameters(), lr=0.2)
    tokens = torch.from_numpy(span.read(0, len(span)))[None]
    for begin in range(0, len(span) - 1, DYNAMIC_TOKENS):
        chunk = tokens[:, begin : begin + DYNAMIC_TOKENS + 1]
        inputs, targets = chunk[:, :-1], chunk[:, 1:]
        logits, state = learner(inputs, state.detach())
        loss = functional.cross_entropy(logits[0], targets[0])
        nats += loss.item() * targets.numel()
        descent.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
    assert measures["loss"] == pytest.approx(nats / (len(span) - 1), abs=NEAR)
    assert measures["tokens"] == len(span) - 1


def test_dynamic_evaluation_learns_what_repeats(tmp_path: Path) -> None:
    np.tile([0, 3, 1, 4, 2, 5], 200).astype(np.uint8).tofile(tmp_path / "tokens.bin")
    span = TokenSpan(tmp_path / "tokens.bin", "uint8", 0, 1200)
    for network in (network_of("lstm"), transformer_of(16)):
        still = evaluate(network, span)
        assert still is not None
        assert evaluate_dynamically(network, span, 0.3)["loss"] < 0.9 * still["loss"]


def test_a_rate_that_is_too_large_for_dynamic_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="learning rate 1e\\+30"):
        evaluate_dynamically(network_of("window"), random_span(tmp_path, 300), 1e30)


# Training -----------------------------------------------------------------------------------------------------


def corpus_of(folder: Path, length: int = 203, valid: str = "0") -> Corpus:
    letters = np.random.default_rng(1).choice(list("abcde"), size=length)
    (folder / "text.txt").write_text("".join(letters))
    config = TextConfig(paths=(str(folder / "text.txt"),), valid=valid)
    return build_corpus(config, folder / "data", lambda message: None)


def task_of(corpus: Corpus, network: LanguageNetwork, *, batch_size: int = 5) -> LanguageModelTask:
    return LanguageModelTask(network, corpus, 6, batch_size=batch_size, seed=0)


def steps_of(corpus: Corpus, cell: Cell, parts: int, steps: int) -> tuple[list[float], list[Tensor], Tensor]:
    """Losses, the last gradients, and the state after some steps in some parts."""
    network = network_of(cell).train()
    task, losses = task_of(corpus, network), []
    for step in range(steps):
        network.zero_grad()
        task.prepare(step)
        total = 0.0
        for part in range(parts):
            loss = task.loss("model", part, parts)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        losses.append(total)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return losses, gradients, task.state()["state"]


@every_cell
@pytest.mark.parametrize("parts", [2, 3, 5, 7])
def test_uneven_parts_add_up_to_the_whole_step(tmp_path: Path, cell: Cell, parts: int) -> None:
    corpus = corpus_of(tmp_path)
    whole_losses, whole_gradients, whole_state = steps_of(corpus, cell, 1, 3)
    losses, gradients, state = steps_of(corpus, cell, parts, 3)
    assert losses == pytest.approx(whole_losses, rel=NEAR)
    for ours, theirs in zip(gradients, whole_gradients, strict=True):
        assert (ours - theirs).norm() <= NEAR * theirs.norm()
    assert_near(state, whole_state)


@every_cell
def test_a_step_is_the_mean_loss_of_its_chunk_given_the_chunks_before(tmp_path: Path, cell: Cell) -> None:
    corpus = corpus_of(tmp_path)
    losses, gradients, _ = steps_of(corpus, cell, 1, 2)
    network = network_of(cell).train()
    task = task_of(corpus, network)
    task.prepare(0)
    first, first_targets = task._inputs, task._targets
    task.prepare(1)
    with torch.no_grad():
        logits, state = network(first, network.initial_state(5))
    loss = functional.cross_entropy(logits.flatten(0, 1), first_targets.flatten())
    assert losses[0] == pytest.approx(loss.item(), rel=NEAR)
    # The second chunk begins with that state, without a gradient into the first.
    logits, _ = network(task._inputs, state)
    loss = functional.cross_entropy(logits.flatten(0, 1), task._targets.flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    assert losses[1] == pytest.approx(loss.item(), rel=NEAR)
    expected = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours - theirs).norm() <= NEAR * theirs.norm()


def test_the_carried_state_holds_no_gradient(tmp_path: Path) -> None:
    _, _, state = steps_of(corpus_of(tmp_path), "lstm", 2, 2)
    assert not state.requires_grad
    assert state.abs().sum() > 0


def test_an_epoch_begins_with_the_zero_state(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path), network_of("gru").train())
    task.prepare(0)
    task.loss("model", 0, 1)
    task.prepare(1)
    assert task.state()["state"].any()
    task.prepare(task.steps_per_epoch)
    assert not task.state()["state"].any()


def test_a_step_counts_its_tokens(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path), network_of("rnn"))
    # 203 // 5 = 40 tokens a lane: 6 chunks of 6 and one of 4.
    assert task.steps_per_epoch == 7
    assert [task.prepare(step) for step in (0, 5, 6)] == [30, 30, 20]


def test_a_restored_state_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path)
    one, other = task_of(corpus, network_of("lstm")), task_of(corpus, network_of("lstm"))
    one.prepare(0)
    one.loss("model", 0, 1)
    saved = {name: tensor.clone() for name, tensor in one.state().items()}
    other.load_state(saved)
    one.prepare(1)
    other.prepare(1)
    assert one.loss("model", 0, 1).item() == other.loss("model", 0, 1).item()
    assert torch.equal(one.state()["state"], other.state()["state"])


def test_measures_count_bits_per_character(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path), network_of("rnn"))
    task.prepare(0)
    # Characters are tokens here: ln 2 nats are one bit.
    assert task.measures({"model": math.log(2)}) == pytest.approx({"loss": math.log(2), "bits_per_char": 1.0})


def test_validation_names_its_measures(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path, valid="0.3"), network_of("rnn"))
    measures = task.evaluate(lambda: False)
    assert task.criterion == "valid_loss"
    assert measures is not None
    assert set(measures) == {"valid_loss", "valid_bits_per_char", "valid_perplexity"}
    assert task.evaluate(lambda: True) is None


def test_without_a_validation_part_there_is_nothing_to_measure(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path), network_of("rnn"))
    assert task.criterion is None
    assert task.evaluate(lambda: False) == {}


def test_a_sample_is_a_text_that_follows_the_seed(tmp_path: Path) -> None:
    task = task_of(corpus_of(tmp_path), network_of("gru"))
    text = task.sample(1)
    assert len(text) == 160
    assert text == task.sample(1)
    assert text != task.sample(2)


# Loading ------------------------------------------------------------------------------------------------------


def save(folder: Path, network: LanguageNetwork, tokenizer: CharTokenizer) -> Path:
    weights = modeldir.tensors_to_bytes(network.state_dict())
    modeldir.write_directory(folder, {**model_files(network, tokenizer), modeldir.WEIGHTS: weights})
    return folder


@every_cell
def test_a_saved_model_predicts_the_same(tmp_path: Path, cell: Cell) -> None:
    network = network_of(cell).float()  # as files have it
    loaded = LanguageModel.load(str(save(tmp_path / "model", network, CharTokenizer("abcde"))), CPU)
    span = random_span(tmp_path, 200)
    assert evaluate(loaded.network, span) == evaluate(network, span)
    assert loaded.network.config == network.config
    assert loaded.tokenizer.encode("edx").tolist() == [5, 4, 0]
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    assert not loaded.network.training


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 tokens, not 6"):
        LanguageModel.load(str(save(tmp_path / "model", network_of("rnn"), CharTokenizer("ab"))), CPU)


def test_a_network_of_impossible_size_is_refused_by_the_name_of_its_field() -> None:
    sizes = {**to_json(RecurrentConfig()), "hidden_size": 10**9}
    with pytest.raises(ConfigError, match=r"config\.json: network: hidden-size"):
        from_json(RecurrentConfig, sizes, where="config.json: network")


# Transformers -------------------------------------------------------------------------------------------------


def transformer_of(context: int) -> TransformerNetwork:
    config = TransformerConfig(embed_size=8, num_layers=1, num_heads=2, ffn_size=8, dropout=0.0, context=context)
    network = TransformerNetwork(config, VOCAB)
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.6 * torch.randn(parameter.shape, generator=generator).double()
    return network.eval()


@pytest.mark.parametrize("context", [1, 2, 7, 16])
@pytest.mark.parametrize("length", [2, 16, 17, 90])
def test_a_transformer_predicts_each_token_once_from_half_a_context_or_more(
    tmp_path: Path, context: int, length: int
) -> None:
    network, span = transformer_of(context), random_span(tmp_path, length)
    tokens = torch.from_numpy(span.read_circular([0], length).astype(np.int64))[0]
    new, nats = max(1, context // 2), 0.0
    for place in range(1, length):
        # Where the window that is asked for this token begins: the first one at 0, then one every `new` tokens.
        begin = 0 if place <= context else (place - 1 - context) // new * new + new
        logits, _ = network(tokens[None, begin:place], network.initial_state(1))
        nats -= logits[0, -1].log_softmax(dim=-1)[tokens[place]].item()
        assert place - begin >= min(place, context - new)
    measures = evaluate(network, span)
    assert measures is not None
    assert measures["tokens"] == length - 1
    assert measures["loss"] == pytest.approx(nats / (length - 1), abs=NEAR)


def test_a_bounded_judgement_of_a_transformer_takes_windows_evenly_spread(tmp_path: Path) -> None:
    network, span = transformer_of(8), random_span(tmp_path, 401)
    measures = evaluate(network, span, most=40)
    # Windows of 8 begin at 0, 4, ..., 392, and are asked for their latter 4: 10 of these 99 are taken.
    nats = 0.0
    for begin in (4 * (i * 99 // 10) for i in range(10)):
        tokens = torch.from_numpy(span.read(begin, begin + 9))
        logits, _ = network(tokens[None, :-1], network.initial_state(1))
        nats += functional.cross_entropy(logits[0, 4:], tokens[5:], reduction="sum").item()
    assert measures is not None
    assert measures["tokens"] == 40
    assert measures["loss"] == pytest.approx(nats / 40, rel=1e-5)


def test_a_transformer_trains_on_chunks_and_carries_nothing(tmp_path: Path) -> None:
    network = transformer_of(6).train()
    task = LanguageModelTask(network, corpus_of(tmp_path), 6, batch_size=5, seed=0)
    assert task.prepare(0) == 30
    whole = task.loss("model", 0, 1)
    task.prepare(0)
    parts = task.loss("model", 0, 2) + task.loss("model", 1, 2)
    assert parts.item() == pytest.approx(whole.item(), rel=NEAR)
    state = task.state()["state"]
    assert (len(state), state.numel()) == (5, 0)
    task.load_state({"state": state})
    task.prepare(1)
