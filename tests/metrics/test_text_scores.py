from __future__ import annotations

import math
import re

import pytest
import sacrebleu

from seqgen.metrics.text import signatures, text_scores

REFERENCES = ["the cat sat on the mat", "a dog runs across the meadow", "two men are playing football"]


def test_the_same_text_scores_a_hundred() -> None:
    scores = text_scores(REFERENCES, REFERENCES)
    assert [scores.bleu, scores.chrf] == pytest.approx([100.0, 100.0])


def test_nothing_and_nonsense_score_nothing() -> None:
    assert text_scores(["", ""], REFERENCES[:2]).bleu == 0.0
    assert text_scores(["qqqq zzzz"], ["the cat"]).chrf == 0.0


def test_bleu_on_paper() -> None:
    # One word of six is wrong, the fourth: of the 6, 5, 4, 3 n-grams 5, 3, 2, 1 match; lengths are equal.
    scores = text_scores(["the cat sat at the mat"], ["the cat sat on the mat"])
    precisions = 5 / 6, 3 / 5, 1 / 4, 0.5 / 3  # exponential smoothing gives a count of 0 the half of one
    assert scores.bleu == pytest.approx(100 * math.prod(precisions) ** 0.25, abs=1e-9)


def test_a_short_output_is_penalised_on_paper() -> None:
    # All n-grams match; 5 words for 6: exp(1 - 6 / 5).
    scores = text_scores(["the cat sat on the"], ["the cat sat on the mat"])
    assert scores.bleu == pytest.approx(100 * math.exp(1 - 6 / 5))


def test_they_are_those_of_sacrebleu_by_default() -> None:
    outputs = ["The cat sat on a mat.", "a dog runs over the meadow", "Two men play football!"]
    scores = text_scores(outputs, REFERENCES)
    assert scores.bleu == sacrebleu.corpus_bleu(outputs, [REFERENCES]).score
    assert scores.chrf == sacrebleu.corpus_chrf(outputs, [REFERENCES]).score


def test_upper_case_counts() -> None:
    assert text_scores([text.upper() for text in REFERENCES], REFERENCES).bleu < 1.0


def test_signatures_say_how_it_was_counted() -> None:
    bleu, chrf = signatures()
    assert re.fullmatch(r"BLEU\|nrefs:1\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:\S+", bleu)
    assert re.fullmatch(r"chrF2\|nrefs:1\|case:mixed\|eff:yes\|nc:6\|nw:0\|space:no\|version:\S+", chrf)


@pytest.mark.parametrize(("outputs", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_what_cannot_be_compared_is_refused(outputs: list[str], references: list[str]) -> None:
    with pytest.raises(ValueError, match="references"):
        text_scores(outputs, references)
