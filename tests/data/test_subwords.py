from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.subwords import SubwordSampler
from seqgen.data.tokens import decode

TEXT = [
    "the ball, a football, the fall of a hall",
    "call bats all bald bass ball ball",
    "a foot, foot after foot, foal food fool tall to talk",
    "basket baseball balls ballad",
] * 5


@pytest.fixture(scope="module")
def tokenizer() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train(TEXT, 290, sentences=True)


def all_ways(tokenizer: SentencePieceTokenizer, word: str) -> dict[tuple[int, ...], float]:
    """Every way to write a word in pieces, and its log-probability under the unigram model."""
    spaced = f" {word}".encode()
    pieces = {b: i for i, b in enumerate(tokenizer.token_bytes) if b and i not in range(4, 260)}  # bytes are a fallback
    ways = {}
    for count in range(len(spaced)):
        for cuts in itertools.combinations(range(1, len(spaced)), count):
            parts = [spaced[i:j] for i, j in itertools.pairwise([0, *cuts, len(spaced)])]
            if all(part in pieces for part in parts):
                way = tuple(pieces[part] for part in parts)
                ways[way] = sum(tokenizer._processor.get_score(i) for i in way)
    return ways


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_ways_come_as_often_as_the_power_of_their_probability(tokenizer: SentencePieceTokenizer, alpha: float) -> None:
    ways = all_ways(tokenizer, "ball")
    assert 5 <= len(ways) <= 64
    norm = sum(math.exp(alpha * x) for x in ways.values())
    sampler, generator = SubwordSampler(tokenizer, alpha), np.random.default_rng(0)
    ids, draws = tokenizer.encode("ball"), 20_000
    drawn = [tuple(sampler.sample(ids, generator, 50).tolist()) for _ in range(draws)]
    assert set(drawn) <= set(ways)
    for way, log_prob in ways.items():
        share = math.exp(alpha * log_prob) / norm
        assert drawn.count(way) / draws == pytest.approx(share, abs=4 * math.sqrt(share / draws) + 1e-4)


@pytest.mark.parametrize(
    "text",
    ["the football", "a", "ball, ball!", "été 🎉 naïve", "foot\u2581ball", "foot\u2581 ball", "the" * 30, "x" * 60],
)
def test_the_text_stays_the_same(tokenizer: SentencePieceTokenizer, text: str) -> None:
    sampler, generator = SubwordSampler(tokenizer, 0.1), np.random.default_rng(1)
    ids = tokenizer.encode(text)
    for _ in range(20):
        assert decode(tokenizer, sampler.sample(ids, generator, 500)) == decode(tokenizer, ids)


def test_words_are_drawn_independently(tokenizer: SentencePieceTokenizer) -> None:
    sampler, generator = SubwordSampler(tokenizer, 0.2), np.random.default_rng(2)
    ids = tokenizer.encode("ball ball")
    middle = len(ids) // 2
    assert ids[:middle].tolist() == ids[middle:].tolist()
    seen = {tuple(sampler.sample(ids, generator, 50).tolist()) for _ in range(300)}
    assert any(way[: len(way) // 2] != way[len(way) // 2 :] for way in seen)


def test_a_sentence_that_would_be_too_long_stays(tokenizer: SentencePieceTokenizer) -> None:
    sampler, generator = SubwordSampler(tokenizer, 0.0001), np.random.default_rng(3)
    ids = tokenizer.encode("the football on the ball")
    lengths = {len(sampler.sample(ids, generator, len(ids) + 2)) for _ in range(200)}
    assert max(lengths) <= len(ids) + 2
    assert len(lengths) > 1
