"""How good captions are, beside several true ones of each clip.

All measures count the same words, those of `words_of`. CIDEr-D and ROUGE-L are counted as in the code that published
figures of video captioning come from (coco-caption), but that cuts words by the Penn Treebank's rules: figures compare
with published ones only nearly. METEOR and SPICE need Java and are left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, assert_never, cast

import numpy as np
from numpy.typing import NDArray

# Words in the kinds of their characters: w for letters and digits, m for marks on them, c for what is a word by itself.
WORD = re.compile("cm*|w[wm]*(?:'w[wm]*)*")
WITHOUT_SPACES = re.compile("[\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LONGEST = 4
SIGMA = 6.0
CIDER_SCALE = 10.0
ROUGE_BETA = 1.2
RESAMPLES = 1000

Grams = Counter[tuple[str, ...]]
Measure = Literal["cider_d", "rouge_l", "exact"]


@dataclass(frozen=True)
class CaptionScores:
    """What captions are worth.

    Args:
        cider_d (float): the mean CIDEr-D (Vedantam et al. 2015), from 0 to 10.
        rouge_l (float): the mean ROUGE-L (Lin 2004), from 0 to 1.
        bleu_1 (float): BLEU of single words, from 0 to 100.
        bleu_2 (float): BLEU of words and pairs of words, from 0 to 100.
        chrf (float): chrF2 (Popovic 2015), from 0 to 100.
        exact (float): the share of clips whose caption has the words of a true one; one without words never counts.
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
        ValueError: there are no clips, or not as many captions as clips, or a clip has no true caption.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    _check(captions, references)
    found, true = _joined(captions, references)
    # sacrebleu takes the first true caption of all clips, then the second, and so on; None where a clip has no more.
    columns = [[own[i] if i < len(own) else None for own in true] for i in range(max(map(len, true)))]

    def corpus(metric: BLEU | CHRF) -> float:
        return float(metric.corpus_score(found, cast("list[list[str]]", columns)).score)

    counts = Counter(found)
    return CaptionScores(
        cider_d=float(cider_d(captions, references).mean()),
        rouge_l=float(_rouge_l(found, true).mean()),
        bleu_1=corpus(BLEU(tokenize="none", force=True, max_ngram_order=1)),
        bleu_2=corpus(BLEU(tokenize="none", force=True, max_ngram_order=2)),
        chrf=corpus(CHRF()),
        exact=float(_exact(found, true).mean()),
        distinct=len(counts) / len(found),
        most_frequent=max(counts.values()) / len(found),
    )


def words_of(caption: str) -> list[str]:
    """The words of a caption: lower case, without punctuation and emoji.

    Letters, digits and underscores make a word, with the marks on them: text comes to NFC first, so that two ways to
    write an accent are one. An apostrophe within a word stays, straight: `man's` is one word, two by the rules of the
    Penn Treebank. A hyphen parts words: `well-known` is two, one by these rules. Each Chinese or Japanese character is
    a word, as these scripts put no spaces between words; Thai, for one, is cut at its spaces only.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", caption).lower()).replace("\u2019", "'")
    return [text[slice(*word.span())] for word in WORD.finditer(text.translate(KINDS))]


class _Kinds(dict[int, str]):
    """The kind of each character, by its code; those seen are kept."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character == "_" or unicodedata.category(character)[0] in "LN":
            kind = "c" if WITHOUT_SPACES.match(character) else "w"
        elif unicodedata.category(character) in ("Mn", "Mc") or character in "\u200c\u200d":  # these join letters
            kind = "m"
        else:
            kind = "'" if character == "'" else " "
        self[code] = kind
        return kind


KINDS = _Kinds()


def _joined(captions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Captions and true ones, their words with one space between."""
    return [" ".join(words_of(text)) for text in captions], [[" ".join(words_of(t)) for t in own] for own in references]


def _check(captions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not captions or len(captions) != len(references):
        raise ValueError(f"{len(captions)} captions, true ones of {len(references)} clips")
    for number, own in enumerate(references):
        if not own:
            raise ValueError(f"clip {number} (from 0) has no true captions")


def _exact(found: Sequence[str], true: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    return np.array([float(bool(caption) and caption in own) for caption, own in zip(found, true, strict=True)])


# CIDEr-D ------------------------------------------------------------------------------------------------------


def cider_d(captions: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D of each clip (Vedantam et al. 2015, eq. 1 to 6), `(clips,)`.

    An n-gram weighs its count times `log(clips / clips in whose true captions it stands)`. The similarity of two
    captions is the cosine of these weights, those of the caption clipped to those of the true one, times
    `exp(-(difference of lengths)^2 / (2 sigma^2))`; it is averaged over n = 1 to 4 and over the true captions. As in
    the published code lengths are counted in pairs of words; their difference is that of the words wherever both
    captions have some. With one clip all weights are 0.

    Args:
        captions (Sequence[str]): one for each clip.
        references (Sequence[Sequence[str]]): the true captions of each clip, which also tell how rare n-grams are.

    Returns:
        NDArray[np.float64]: from 0 to 10, as coco-caption prints it; tables of papers often show 100 times this.

    Raises:
        ValueError: there are no clips, or not as many captions as clips, or a clip has no true caption.
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


def rouge_l(caption_words: Sequence[str], reference_words_list: Sequence[Sequence[str]]) -> float:
    """ROUGE-L (Lin 2004, eq. 2 to 4), beta 1.2, from 0 to 1.

    As in coco-caption the best precision and the best recall count, be they of two different true captions.

    Args:
        caption_words (Sequence[str]): the words of the caption.
        reference_words_list (Sequence[Sequence[str]]): those of each true caption.

    Raises:
        ValueError: there is no true caption.
    """
    if not reference_words_list:
        raise ValueError("the clip has no true captions")
    common = [_common(caption_words, own) for own in reference_words_list]
    precision = max(count / max(1, len(caption_words)) for count in common)
    recall = max(count / max(1, len(own)) for count, own in zip(common, reference_words_list, strict=True))
    if not precision:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def _rouge_l(found: Sequence[str], true: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    pairs = zip(found, true, strict=True)
    return np.array([rouge_l(caption.split(), [text.split() for text in own]) for caption, own in pairs])


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


def interval(
    captions: Sequence[str], references: Sequence[Sequence[str]], measure: Measure = "cider_d", seed: int = 0
) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of a measure over 1,000 resamples of the clips (Efron 1979).

    Scores of clips are drawn, not captions: how rare n-grams are, in CIDEr-D, stays that of all clips.

    Args:
        captions (Sequence[str]): one for each clip.
        references (Sequence[Sequence[str]]): the true captions of each clip, at least one.
        measure (Measure): one that is a mean over clips; BLEU and chrF are none.
        seed (int): the same gives the same interval.

    Raises:
        ValueError: there are no clips, or not as many captions as clips, or a clip has no true caption.
    """
    _check(captions, references)
    match measure:
        case "cider_d":
            scores = cider_d(captions, references)
        case "rouge_l":
            scores = _rouge_l(*_joined(captions, references))
        case "exact":
            scores = _exact(*_joined(captions, references))
        case _:
            assert_never(measure)
    generator = np.random.Generator(np.random.PCG64(seed))
    # One resample at a time: all at once take a thousand times the memory of the scores.
    means = [scores[generator.integers(0, len(scores), len(scores))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
