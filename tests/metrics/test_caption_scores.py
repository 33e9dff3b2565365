"""What captions are worth, against numbers on paper and the formulae written down another way."""

from __future__ import annotations

import itertools
import math
import random
import unicodedata
from collections.abc import Callable

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


def test_cider_d_of_words_that_are_not_equally_rare() -> None:
    """`a` stands in 2 of 3 clips and weighs log 3/2, `cat` in 1 and `dog` in none: both weigh log 3. No pair is shared.

    0.4055^2 / (0.4055^2 + 1.0986^2) = 0.1644 / 1.3714 = 0.11988, times 10 / 4.
    """
    found = cider_d(["a dog", "x", "y"], [["a cat"], ["a hen", "a a"], ["owl"]])
    assert found.tolist() == pytest.approx([0.29971, 0, 0], abs=1e-5)


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
        assert rouge_l(caption.split(), [text.split() for text in own]) == pytest.approx(wanted)


def test_rouge_l_on_paper() -> None:
    """The precision is that of the first true caption, 2/3, the recall that of the second, 1/1."""
    true = [["a", "red", "x", "y"], ["dog"]]
    assert rouge_l(["a", "red", "dog"], true) == pytest.approx(2.44 * (2 / 3) / (1 + 1.44 * 2 / 3))
    assert rouge_l([], true) == rouge_l(["cat"], true) == rouge_l(["cat"], [[]]) == 0.0
    with pytest.raises(ValueError, match="no true captions"):
        rouge_l(["a"], [])


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


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man's HAT: \u201cred\u201d, 7-up!  'tis", ["a", "man's", "hat", "red", "7", "up", "tis"]),
        ("dogs' don\u2019t", ["dogs", "don't"]),
        ("(Üben) Straße ÉTÉ", ["üben", "straße", "été"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are marks, no letters
        ("क्\u200dष", ["क्\u200dष"]),  # a joiner, which is not seen, is no space
        ("한국어 말", ["한국어", "말"]),
        ("猫が走る。2 Hunde", ["猫", "が", "走", "る", "2", "hunde"]),
        ("🎩 ❤\ufe0f ...", []),
        ("", []),
    ],
)
def test_words(caption: str, words: list[str]) -> None:
    assert words_of(caption) == words


def test_two_ways_to_write_an_accent_are_one() -> None:
    apart = unicodedata.normalize("NFD", "Café Übung")
    assert apart != "Café Übung"
    assert words_of(apart) == ["café", "übung"]
    assert caption_scores([apart], [["café übung"]]).exact == 1.0


def test_the_interval_is_around_the_score_and_narrows() -> None:
    widths = []
    for clips in (200, 800):
        captions, references = drawn(clips, seed=2)
        scores = cider_d(captions, references)
        low, high = interval(captions, references)
        spread = 1.96 * scores.std() / math.sqrt(clips)  # of the normal distribution
        assert (low, high) == pytest.approx((scores.mean() - spread, scores.mean() + spread), rel=0.05)
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.2)  # of four times as many clips


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    captions, references = drawn(50)
    assert interval(captions, references) == interval(captions, references, seed=0)
    assert interval(captions, references) != interval(captions, references, seed=1)


def test_the_interval_of_exact_captions_is_that_of_a_binomial_distribution() -> None:
    right, clips = 30, 100
    low, high = interval(["red dog"] * clips, [["red dog"]] * right + [["blue dog"]] * (clips - right), "exact")
    chances = [math.comb(clips, k) * 0.3**k * 0.7 ** (clips - k) for k in range(clips + 1)]
    below = list(itertools.accumulate(chances))
    wanted = [next(k for k, share in enumerate(below) if share >= q) / clips for q in (0.025, 0.975)]
    assert (low, high) == pytest.approx(wanted, abs=0.011)


def test_the_interval_of_rouge_l_is_half_as_wide() -> None:
    """Where the exact captions score 0, these score 1/2: one of two words."""
    captions, references = ["red dog"] * 50, [["red dog"]] * 20 + [["blue dog"]] * 30
    exact = interval(captions, references, "exact")
    assert interval(captions, references, "rouge_l") == pytest.approx([(1 + share) / 2 for share in exact])


@pytest.mark.parametrize("measure", [caption_scores, cider_d, interval])
@pytest.mark.parametrize(
    ("captions", "references", "said"),
    [
        ([], [], "0 captions"),
        (["a"], [], "1 captions, true ones of 0 clips"),
        (["a", "b"], [["a"], []], "clip 1 .* no true captions"),
    ],
)
def test_nothing_to_compare_is_an_error(
    measure: Callable[[list[str], list[list[str]]], object],
    captions: list[str],
    references: list[list[str]],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=said):
        measure(captions, references)


def test_captions_without_words_score_nothing() -> None:
    scores = caption_scores(["", "🎩"], [["a"], ["b", "🎩", ""]])
    assert (scores.cider_d, scores.rouge_l, scores.bleu_1, scores.bleu_2, scores.chrf, scores.exact) == (0,) * 6
    assert (scores.distinct, scores.most_frequent) == (0.5, 1.0)
