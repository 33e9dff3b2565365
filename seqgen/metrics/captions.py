"""How good captions are, beside several true ones of each clip.

All measures count the same words: lower case, without punctuation. CIDEr-D and ROUGE-L are counted as in the code that
published figures of video captioning come from (coco-caption); METEOR and SPICE need Java and are left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

WORDS = re.compile(r"\w+(?:['\u2019]\w+)*")
LONGEST = 4
SIGMA = 6.0
CIDER_SCALE = 10.0
ROUGE_BETA = 1.2
RESAMPLES = 1000

Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class CaptionScores:
    """What captions are worth.

    Args:
        cider_d (float): CIDEr-D (Vedantam et al. 2015), from 0 to 10.
        rouge_l (float): ROUGE-L (Lin 2004), from 0 to 1.
        bleu_1 (float): BLEU of single words, from 0 to 100.
        bleu_2 (float): BLEU of words and pairs of words, from 0 to 100.
        chrf (float): chrF2 (Popovic 2015), from 0 to 100.
        exact (float): the share of clips whose caption is one of the true ones.
        distinct (float): how many captions are different ones, as a share of the clips.
        most_frequent (float): the share of clips that get the most frequent caption; 1: the clips make no difference.
    """

    cider_d: float
    rouge_l: float
    bleu_1: float
    bleu_2: float
    chrf: float
    exact: float
    distinct: float
    most_frequent: float


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score one caption a clip.

    Args:
        captions (Sequence[str]): one for each clip.
        references (Sequence[Sequence[str]]): the true captions of each clip, at least one.

    Raises:
        ValueError: there are no clips, or not as many captions as clips, or a clip without a true caption.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    _check(captions, references)
    found = [" ".join(words_of(caption)) for caption in captions]
    true = [[" ".join(words_of(text)) for text in own] for own in references]
    # sacrebleu takes the first true caption of all clips, then the second, and so on; None where a clip has no more.
    columns = [[own[i] if i < len(own) else None for own in true] for i in range(max(map(len, true)))]

    def corpus(metric: BLEU | CHRF) -> float:
        return float(metric.corpus_score(found, cast("list[list[str]]", columns)).score)

    counts = Counter(found)
    return CaptionScores(
        cider_d=float(cider_d(captions, references).mean()),
        rouge_l=sum(rouge_l(caption, own) for caption, own in zip(captions, references, strict=True)) / len(captions),
        bleu_1=corpus(BLEU(tokenize="none", force=True, max_ngram_order=1)),
        bleu_2=corpus(BLEU(tokenize="none", force=True, max_ngram_order=2)),
        chrf=corpus(CHRF()),
        exact=sum(caption in own for caption, own in zip(found, true, strict=True)) / len(found),
        distinct=len(counts) / len(found),
        most_frequent=max(counts.values()) / len(found),
    )


def words_of(caption: str) -> list[str]:
    """The words of a caption: lower case, without punctuation."""
    return WORDS.findall(caption.lower())


def _check(captions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not captions or len(captions) != len(references) or not all(references):
        raise ValueError(f"{len(captions)} captions, {len(references)} clips with true ones")


# CIDEr-D ------------------------------------------------------------------------------------------------------


def cider_d(captions: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D of each clip (Vedantam et al. 2015, eq. 1 to 6), `(clips,)`.

    An n-gram weighs its count times `log(clips / clips in whose true captions it stands)`. The similarity of two
    captions is the cosine of these weights, those of the caption clipped to those of the true one, times
    `exp(-(difference of lengths)^2 / (2 sigma^2))`; it is averaged over n = 1 to 4 and over the true captions. As in
    the published code the length is that of the pairs of words. With one clip all weights are 0.

    Args:
        captions (Sequence[str]): one for each clip.
        references (Sequence[Sequence[str]]): the true captions of each clip, which also tell how rare n-grams are.
    """
    _check(captions, references)
    true = [[_grams(text) for text in own] for own in references]
    clips = Counter(gram for own in true for gram in set().union(*(set(grams) for grams in own)))
    logs = {gram: math.log(len(true) / count) for gram, count in clips.items()}
    unseen = math.log(len(true))
    scores = []
    for caption, own in zip(captions, true, strict=True):
        vector = _Weighed(_grams(caption), logs, unseen)
        similar = [vector.similarity(_Weighed(grams, logs, unseen)) for grams in own]
        scores.append(CIDER_SCALE * sum(similar) / len(similar))
    return np.array(scores)


def _grams(caption: str) -> Grams:
    words = words_of(caption)
    return Counter(tuple(words[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1))


class _Weighed:
    """The n-grams of a caption by their weights, and its length in pairs of words."""

    def __init__(self, grams: Grams, logs: dict[tuple[str, ...], float], unseen: float) -> None:
        self.weights = {gram: count * logs.get(gram, unseen) for gram, count in grams.items()}
        self.length = sum(count for gram, count in grams.items() if len(gram) == 2)
        self.norms = [0.0] * (LONGEST + 1)
        for gram, weight in self.weights.items():
            self.norms[len(gram)] += weight * weight

    def similarity(self, true: _Weighed) -> float:
        products = [0.0] * (LONGEST + 1)
        for gram, weight in self.weights.items():
            other = true.weights.get(gram, 0.0)
            products[len(gram)] += min(weight, other) * other
        total = 0.0
        for n in range(1, LONGEST + 1):
            if norm := math.sqrt(self.norms[n] * true.norms[n]):
                total += products[n] / norm
        return total / LONGEST * math.exp(-((self.length - true.length) ** 2) / (2 * SIGMA**2))


# ROUGE-L ------------------------------------------------------------------------------------------------------


def rouge_l(caption: str, references: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004, eq. 2 to 4), beta 1.2, of the best precision and the best recall over the true captions."""
    words, true = words_of(caption), [words_of(text) for text in references]
    common = [_common(words, own) for own in true]
    precision = max(count / max(1, len(words)) for count in common)
    recall = max(count / max(1, len(own)) for count, own in zip(common, true, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def _common(one: Sequence[str], two: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(two) + 1)
    for word in one:
        new = [0]
        for (before, above), other in zip(pairwise(row), two, strict=True):
            new.append(before + 1 if word == other else max(above, new[-1]))
        row = new
    return row[-1]


# Intervals ----------------------------------------------------------------------------------------------------


def interval(captions: Sequence[str], references: Sequence[Sequence[str]], seed: int = 0) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of CIDEr-D over 1,000 resamples of the clips (Efron 1979).

    How rare n-grams are stays that of all clips.
    """
    scores = cider_d(captions, references)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.integers(0, len(scores), (RESAMPLES, len(scores)))
    low, high = np.percentile(scores[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
