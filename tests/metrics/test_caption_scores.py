"""What captions are worth, against numbers on paper and the formulae written down another way."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from seqgen.metrics.captions import caption_scores, cider_d, interval, rouge_l, words_of

WORDS = "a man woman dog cat runs sleeps with red blue hat".split()


def drawn(clips: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    draw = random.Random(seed)

    def caption() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 7)))

    return [caption() for _ in range(clips)], [[caption() for _ in range(draw.randint(1, 4))] for _ in range(clips)]


def grams_of(text: str, n: int) -> list[str]:
    words = text.split()
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def formulae(captions: list[str], references: list[list[str]], clip: int) -> float:
    """CIDEr-D of one clip as the paper and the published code have it, one n-gram and one pair at a time."""
    found = 0.0
    for n in range(1, 5):
        known = {gram for own in references for text in own for gram in grams_of(text, n)}
        known |= {gram for text in captions for gram in grams_of(text, n)}
        idf = {}
        for gram in known:
            clips = sum(any(gram in grams_of(text, n) for text in own) for own in references)
            idf[gram] = math.log(len(references) / max(1, clips))

        def vector(text: str, n: int = n, idf: dict[str, float] = idf) -> dict[str, float]:
            grams = grams_of(text, n)
            return {gram: grams.count(gram) * idf[gram] for gram in set(grams)}

        mine = vector(captions[clip])
        for text in references[clip]:
            theirs = vector(text)
            product = sum(min(mine[gram], theirs[gram]) * theirs[gram] for gram in mine.keys() & theirs.keys())
            norms = math.hypot(*mine.values()) * math.hypot(*theirs.values())
            lengths = len(grams_of(captions[clip], 2)) - len(grams_of(text, 2))
            similar = product / norms if norms else 0.0
            found += 10 * similar * math.exp(-(lengths**2) / 72) / len(references[clip]) / 4
    return found


def test_cider_d_by_its_formulae() -> None:
    captions, references = drawn(60)
    wanted = [formulae(captions, references, clip) for clip in range(60)]
    assert cider_d(captions, references) == pytest.approx(wanted)
    assert max(wanted) > 1


def test_cider_d_on_paper() -> None:
    """Every word stands in one clip of two, so that all weigh log 2, and equal captions of 2 words score 10 * 2/4."""
    found = cider_d(["red dog", "a blue cat"], [["red dog"], ["one two three four"]])
    assert found.tolist() == pytest.approx([5.0, 0.0])
    # Of `red dog` beside `red cat`: 1 of 2 words, no pair: 10 * (1/2) / 4.
    assert cider_d(["red dog", "x"], [["red cat"], ["y"]])[0] == pytest.approx(1.25)
    # A word said twice is clipped: min(2, 1) / (2 * 1) of the norm, and one pair more: exp(-1/72).
    assert cider_d(["red red", "x"], [["red"], ["y"]])[0] == pytest.approx(10 * 0.5 / 4 * math.exp(-1 / 72))


def test_with_one_clip_no_word_is_rare() -> None:
    assert cider_d(["red dog"], [["red dog"]]).tolist() == [0.0]


def longest(one: list[str], two: list[str]) -> int:
    """The longest common subsequence by trying all."""
    for size in range(len(one), 0, -1):
        for chosen in itertools.combinations(one, size):
            rest = iter(two)
            if all(word in rest for word in chosen):
                return size
    return 0


def test_rouge_l_by_trying_all_subsequences() -> None:
    captions, references = drawn(40, seed=1)
    for caption, own in zip(captions, references, strict=True):
        common = [longest(caption.split(), text.split()) for text in own]
        precision = max(count / len(caption.split()) for count in common)
        recall = max(count / len(text.split()) for count, text in zip(common, own, strict=True))
        wanted = 0.0
        if precision and recall:
            wanted = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
        assert rouge_l(caption, own) == pytest.approx(wanted)
    assert rouge_l("", ["a dog"]) == 0.0


def test_bleu_exact_and_variety_on_paper() -> None:
    """3 of 5 words are right, 1 of 3 pairs; both sides have 5 words, so that nothing is taken off for brevity."""
    scores = caption_scores(["A red dog.", "red dog"], [["a red cat", "the cat"], ["blue dog"]])
    assert scores.bleu_1 == pytest.approx(100 * 3 / 5)
    assert scores.bleu_2 == pytest.approx(100 * math.sqrt(3 / 5 * 1 / 3))
    assert (scores.exact, scores.distinct, scores.most_frequent) == (0.0, 1.0, 0.5)
    same = caption_scores(["Red dog!", "red dog", "red  dog"], [["red dog"], ["red dog"], ["cat"]])
    assert (same.exact, same.distinct, same.most_frequent) == (2 / 3, 1 / 3, 1.0)


def test_perfect_captions() -> None:
    captions = ["a red dog runs", "two blue cats sleep here"]
    perfect = caption_scores(captions, [["x", text] for text in captions])
    assert perfect.cider_d == pytest.approx(5.0)  # the other true caption has nothing in common
    assert (perfect.rouge_l, perfect.exact, perfect.distinct, perfect.most_frequent) == (1.0, 1.0, 1.0, 0.5)
    assert (perfect.bleu_1, perfect.bleu_2, perfect.chrf) == pytest.approx((100, 100, 100))


def test_words() -> None:
    assert words_of("A man's HAT: \u201cred\u201d, (Üben) 7-up! 🎩") == ["a", "man's", "hat", "red", "üben", "7", "up"]
    assert words_of("🎩 ...") == []


def test_the_interval_is_around_the_score_and_narrows() -> None:
    captions, references = drawn(200, seed=2)
    low, high = interval(captions, references)
    assert low < cider_d(captions, references).mean() < high
    assert (low, high) == interval(captions, references)
    assert (low, high) != interval(captions, references, seed=1)
    scores = cider_d(captions, references)
    spread = 1.96 * scores.std() / math.sqrt(200)  # of the normal distribution
    assert (low, high) == pytest.approx((scores.mean() - spread, scores.mean() + spread), rel=0.05)


@pytest.mark.parametrize(("captions", "references"), [([], []), (["a"], []), (["a"], [[]])])
def test_nothing_to_compare_is_an_error(captions: list[str], references: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="captions"):
        caption_scores(captions, references)


def test_scores_are_numbers() -> None:
    assert np.isfinite(list(vars(caption_scores(["", "🎩"], [["a"], ["b"]])).values())).all()
