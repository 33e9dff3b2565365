from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from translation_models import LOG_PROB, VOCAB_SIZE, corpus_of, model_of, some_pairs

from seqgen.config import ParallelConfig
from seqgen.data.parallel import ParallelCorpus
from seqgen.data.tokens import decode
from seqgen.metrics.text import text_scores
from seqgen.tasks.translation.judge import judge, judge_lines, pair_loss
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.score import force_decode
from seqgen.tasks.translation.task import TranslationTask
from seqgen.tasks.translation.translate import Translator

BATCH = 8


class Parts(NamedTuple):
    """A corpus and a model of it."""

    corpus: ParallelCorpus
    model: TranslationModel


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    corpus = corpus_of(tmp_path_factory.mktemp("corpus"))
    return Parts(corpus, model_of(corpus, scale=1.5))


def task_of(
    parts: Parts, *, batch_size: int = BATCH, seed: int = 0, share: Callable[[int], slice] = slice, **chosen: Any
) -> TranslationTask:
    config = ParallelConfig(**{"label_smoothing": 0.0, **chosen})
    return TranslationTask(parts.model, parts.corpus, config, batch_size=batch_size, seed=seed, share=share)


def whole_loss(task: TranslationTask, step: int) -> float:
    task.prepare(step)
    return task.loss("model", 0, 1).item()


def pairs_of(task: TranslationTask, parts: Parts, step: int) -> list[tuple[list[int], list[int]]]:
    """Token ids of the pairs of a step."""
    indices = task._epochs.batch(step)
    return [(s.tolist(), t.tolist()) for s, t in zip(*parts.corpus.train.read(indices), strict=True)]


def naive_terms(parts: Parts, pairs: list[tuple[list[int], list[int]]], smoothing: float) -> list[list[float]]:
    """`-(1 - e) log p(true) - e / V sum_v log p(v)` for each position of each pair, one pair at a time."""
    model, terms = parts.model, []
    for source, target in pairs:
        said = [*target, model.target_tokenizer.eos_id]
        given = torch.tensor([[model.start_id, *target]])
        read = torch.tensor([[*source, model.source_tokenizer.eos_id]])
        with torch.inference_mode():
            logits = model.network(read, torch.tensor([read.shape[1]]), given, torch.ones_like(given, dtype=torch.bool))
        log_probs = logits.double().log_softmax(dim=-1)
        rows = zip(log_probs, said, strict=True)
        terms.append([-(1 - smoothing) * r[t].item() - smoothing / VOCAB_SIZE * r.sum().item() for r, t in rows])
    return terms


# The loss -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("order", ["length", "random"])
def test_the_loss_is_the_smoothed_mean_over_all_positions(parts: Parts, smoothing: float, order: str) -> None:
    task = task_of(parts, label_smoothing=smoothing, order=order)
    for step in (0, 3, task.steps_per_epoch):
        tokens = task.prepare(step)
        terms = [x for row in naive_terms(parts, pairs_of(task, parts, step), smoothing) for x in row]
        assert tokens == len(terms)
        assert task.loss("model", 0, 1).item() == pytest.approx(sum(terms) / len(terms), abs=LOG_PROB)


def test_smoothing_on_paper(tmp_path: Path) -> None:
    """With all logits 0 but one: log p = 3 - ln(e^3 + V - 1) for it and 3 less for the others."""
    corpus = corpus_of(tmp_path)
    parts = Parts(corpus, model_of(corpus, scale=0.0))
    parts.model.network.output_bias[5] = 3.0
    task = task_of(parts, label_smoothing=0.2)
    pairs = pairs_of(task, parts, 0)
    norm = math.log(math.exp(3.0) + VOCAB_SIZE - 1)
    said = [t for _, target in pairs for t in [*target, parts.model.target_tokenizer.eos_id]]
    true = [0.8 * (norm - 3.0 * (t == 5)) + 0.2 * (norm - 3.0 / VOCAB_SIZE) for t in said]
    assert whole_loss(task, 0) == pytest.approx(sum(true) / len(true), abs=LOG_PROB)


def test_one_random_position_counts(parts: Parts) -> None:
    task = task_of(parts, loss_steps="random", label_smoothing=0.1)
    for step in range(5):
        tokens = task.prepare(step)
        pairs = pairs_of(task, parts, step)
        assert tokens == sum(len(t) + 1 for _, t in pairs)
        places = task._drawn_positions(step, np.array([len(t) for _, t in pairs])).tolist()
        assert all(0 <= place <= len(t) for place, (_, t) in zip(places, pairs, strict=True))
        terms = naive_terms(parts, pairs, 0.1)
        chosen = [row[place] for row, place in zip(terms, places, strict=True)]
        assert task.loss("model", 0, 1).item() == pytest.approx(sum(chosen) / len(chosen), abs=LOG_PROB)


def test_random_positions_are_uniform_and_the_end_symbol_is_among_them(parts: Parts) -> None:
    task = task_of(parts, loss_steps="random")
    lengths = parts.corpus.train.target_lengths
    length = int(np.bincount(lengths).argmax())
    alike = lengths[lengths == length]
    drawn = np.concatenate([task._drawn_positions(step, alike) for step in range(400)])
    counts = np.bincount(drawn, minlength=length + 1)
    assert len(counts) == length + 1
    expected = len(drawn) / (length + 1)
    # Chi-squared with `length` degrees of freedom: mean n, variance 2 n.
    assert ((counts - expected) ** 2 / expected).sum() < length + 5 * math.sqrt(2 * length)


def test_random_positions_are_a_function_of_seed_and_step(parts: Parts) -> None:
    lengths = np.arange(50)
    one, same, other = (task_of(parts, loss_steps="random", seed=s)._drawn_positions(2, lengths) for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert (one != task_of(parts, loss_steps="random", seed=1)._drawn_positions(3, lengths)).any()


# Subword sampling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_steps", ["all", "random"])
def test_sampled_pieces_say_the_same_and_are_counted_as_they_are(parts: Parts, loss_steps: str) -> None:
    task = task_of(parts, loss_steps=loss_steps, subword_sampling=0.001)
    for step in (0, 1, task.steps_per_epoch):
        plain = parts.corpus.train.read(task._epochs.batch(step))
        sampled = task._read(step)
        tokenizers = (parts.corpus.source_tokenizer, parts.corpus.target_tokenizer)
        for tokenizer, before, after in zip(tokenizers, plain, sampled, strict=True):
            assert [decode(tokenizer, ids) for ids in before] == [decode(tokenizer, ids) for ids in after]
            assert any(x.tolist() != y.tolist() for x, y in zip(before, after, strict=True))
        tokens = task.prepare(step)
        pairs = [(s.tolist(), t.tolist()) for s, t in zip(*sampled, strict=True)]
        assert tokens == sum(len(t) + 1 for _, t in pairs)
        terms = naive_terms(parts, pairs, 0.0)
        if loss_steps == "random":
            places = task._drawn_positions(step, np.array([len(t) for _, t in pairs])).tolist()
            terms = [[row[place]] for row, place in zip(terms, places, strict=True)]
        counted = [x for row in terms for x in row]
        assert task.loss("model", 0, 1).item() == pytest.approx(sum(counted) / len(counted), abs=LOG_PROB)


def test_sampled_pieces_are_a_function_of_seed_and_step(parts: Parts) -> None:
    one, same, other = (task_of(parts, subword_sampling=0.001, seed=seed)._read(2)[1] for seed in (1, 1, 2))
    assert [ids.tolist() for ids in one] == [ids.tolist() for ids in same]
    again = task_of(parts, subword_sampling=0.001, seed=1)
    again._read(0)  # what was read before does not matter
    assert [ids.tolist() for ids in again._read(2)[1]] == [ids.tolist() for ids in one]
    assert [ids.tolist() for ids in other] != [ids.tolist() for ids in one]


# Parts and shares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_steps", ["all", "random"])
@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_the_shares_of_all_parts_add_up(parts: Parts, loss_steps: str, pieces: int) -> None:
    task = task_of(parts, loss_steps=loss_steps, label_smoothing=0.1)
    task.prepare(1)
    shares = [task.loss("model", part, pieces).item() for part in range(pieces)]
    assert sum(shares) == pytest.approx(task.loss("model", 0, 1).item(), abs=LOG_PROB)


@pytest.mark.parametrize("chosen", [{}, {"loss_steps": "random"}, {"subword_sampling": 0.001}])
@pytest.mark.parametrize("processes", [2, 3, 30])
def test_the_shares_of_all_processes_add_up(parts: Parts, chosen: dict[str, Any], processes: int) -> None:
    whole = whole_loss(task_of(parts, **chosen), 2)
    total = 0.0
    for rank in range(processes):

        def share(count: int, rank: int = rank) -> slice:
            return slice(rank * count // processes, (rank + 1) * count // processes)

        total += whole_loss(task_of(parts, **chosen, share=share), 2)
    assert total == pytest.approx(whole, abs=LOG_PROB)


def test_a_process_without_pairs_has_a_loss_of_zero_that_can_be_taken_back(parts: Parts) -> None:
    task = task_of(parts, share=lambda count: slice(0, 0))
    assert task.prepare(0) > 0
    loss = task.loss("model", 0, 1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert all(parameter.grad is None for parameter in parts.model.network.parameters())


# Batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["length", "random"])
def test_an_epoch_is_all_pairs_once_in_an_order_of_its_own(parts: Parts, order: str) -> None:
    task = task_of(parts, order=order)
    per_epoch = task.steps_per_epoch
    epochs = []
    for epoch in range(2):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        epochs.append([i for step in steps for i in task._epochs.batch(step).tolist()])
        assert sorted(epochs[-1]) == list(range(len(parts.corpus.train)))
    assert epochs[0] != epochs[1]
    again = task_of(parts, order=order)  # asked out of order, as a resumed run does
    assert again._epochs.batch(per_epoch + 1).tolist() == task._epochs.batch(per_epoch + 1).tolist()
    other = task_of(parts, order=order, seed=1)
    assert any(other._epochs.batch(s).tolist() != again._epochs.batch(s).tolist() for s in range(3))


def test_nothing_is_carried_from_step_to_step(parts: Parts) -> None:
    fresh, used = task_of(parts), task_of(parts)
    for step in range(3):
        whole_loss(used, step)
    assert whole_loss(used, 3) == whole_loss(fresh, 3)
    assert used.state() == {}


# Judging ------------------------------------------------------------------------------------------------------


def test_the_criterion_is_what_is_to_be_kept(parts: Parts, tmp_path: Path) -> None:
    assert task_of(parts, keep="loss").criterion == "valid_loss"
    assert task_of(parts, keep="bleu").criterion == "-valid_bleu"


def test_without_a_validation_part_there_is_nothing_to_judge(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, held_out=False)
    task = task_of(Parts(corpus, model_of(corpus)))
    assert corpus.valid is None
    assert task.criterion is None
    assert task.evaluate(lambda: False) == {}
    assert task.sample(3) is None


def test_evaluate_is_loss_and_the_scores_of_greedy_translations(parts: Parts) -> None:
    measures = task_of(parts).evaluate(lambda: False)
    corpus, model = parts
    assert corpus.valid is not None
    assert measures is not None
    assert set(measures) == {"valid_loss", "valid_perplexity", "valid_bleu", "valid_chrf"}
    loss = pair_loss(model, corpus.valid, lambda: False)
    assert loss is not None
    assert measures["valid_loss"] == loss["loss"]
    outputs = [t.text for t in Translator([model], "greedy").stream(corpus.valid_source_lines())]
    scores = text_scores(outputs, corpus.valid_target_lines())
    assert (measures["valid_bleu"], measures["valid_chrf"]) == (scores.bleu, scores.chrf)


def test_a_bounded_judgement_takes_pairs_evenly_spread(parts: Parts) -> None:
    corpus, model = parts
    assert corpus.valid is not None
    assert len(corpus.valid) == 20
    seen: list[int] = []
    measures = judge(model, corpus, Translator([model], "greedy"), lambda: False, most=6, advance=seen.append)
    sides = corpus.valid_source_lines(), corpus.valid_target_lines()
    sources, targets = ([lines[i] for i in (0, 3, 6, 10, 13, 16)] for lines in sides)
    scores = text_scores([t.text for t in Translator([model], "greedy").stream(sources)], targets)
    log_probs = [x for s in force_decode(model, zip(sources, targets, strict=True), 4) for x in s.log_probs]
    assert measures is not None
    assert (measures["bleu"], measures["chrf"]) == (scores.bleu, scores.chrf)
    assert measures["loss"] == pytest.approx(-sum(log_probs) / len(log_probs), rel=1e-5)
    assert seen == [1] * 6


@pytest.mark.parametrize("look", [1, 2, 10])
def test_judging_stops_at_any_look(parts: Parts, look: int) -> None:
    looks = iter(range(1, 1000))
    assert judge(parts.model, parts.corpus, Translator([parts.model], "greedy"), lambda: next(looks) >= look) is None


def test_a_sample_is_a_source_a_translation_and_a_reference(parts: Parts) -> None:
    task, corpus = task_of(parts), parts.corpus
    shown = task.sample(23)  # the fourth of 20
    assert shown is not None
    source, text, reference = shown.split("\n")
    assert source == corpus.valid_source_lines()[3]
    assert reference == f"(reference: {corpus.valid_target_lines()[3]})"
    [translation] = Translator([parts.model], "greedy").stream([source])
    assert text == translation.text
    assert task.sample(23) == shown


def test_judging_does_not_disturb_a_later_step(parts: Parts) -> None:
    """The random numbers of a step are seeded by the loop; the evaluation may not leave the network changed."""
    task = task_of(parts)
    before = whole_loss(task, 1)
    task.evaluate(lambda: False)
    task.sample(0)
    assert whole_loss(task, 1) == before


def test_lines_are_judged_with_what_makes_the_figures_comparable(parts: Parts) -> None:
    pairs = [*some_pairs(9, seed=3), ("", "LEER"), ("nichts", "")]
    advanced: list[int] = []
    measures = judge_lines(parts.model, pairs, Translator([parts.model], "beam"), advanced.append)
    assert list(measures) == [
        "bleu",
        "chrf",
        "bleu_signature",
        "chrf_signature",
        "loss",
        "perplexity",
        "sentences",
        "seconds",
    ]
    assert measures["sentences"] == sum(advanced) == 11
    log_probs = [x for scored in force_decode(parts.model, pairs, 4) for x in scored.log_probs]
    assert measures["loss"] == pytest.approx(-sum(log_probs) / len(log_probs), abs=LOG_PROB)
