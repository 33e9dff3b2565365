"""Trees as a beam search leaves them, without a network."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from seqgen.decode.hypothesis import Branch, Hypothesis

EOS = 0


@dataclass(frozen=True)
class Search:
    """A tree and its winner; token `n` is written `words[n]`."""

    branches: list[Branch]
    best: Hypothesis
    words: list[str]

    def piece(self, token_id: int) -> str:
        return self.words[token_id]


def search(steps: int, beam_size: int = 5, seed: int = 0, vocab_size: int = 60, odd: str = "") -> Search:
    """A beam over random probabilities; from step 3 on outputs end, and none is longer than `steps`."""
    rng = random.Random(seed)
    words = ["</s>", *(f"▁w{n}" for n in range(1, vocab_size))]
    words = [word + odd if n else word for n, word in enumerate(words)]
    branches: list[Branch] = []
    live: list[tuple[int, tuple[int, ...], float]] = [(-1, (), 0.0)]
    ended: list[Hypothesis] = []
    for step in range(steps):
        last = step == steps - 1
        candidates = []
        for parent, tokens, total in live:
            choices = [EOS] if last else rng.sample(range(1, vocab_size), 4) + [EOS] * (step >= 2)
            for token in choices:
                log_prob = math.log(rng.uniform(0.02, 0.6))
                candidates.append((total + log_prob, log_prob, parent, tokens, token))
        candidates.sort(reverse=True)
        live = []
        for rank, (total, log_prob, parent, tokens, token) in enumerate(candidates[: 2 * beam_size]):
            if token == EOS and rank < beam_size:
                ended.append(Hypothesis(tokens, (log_prob,), total / (len(tokens) + 1)))
                branches.append(Branch(parent, token, log_prob, total, "ended"))
            elif token != EOS and len(live) < beam_size:
                live.append((len(branches), (*tokens, token), total))
                branches.append(Branch(parent, token, log_prob, total, "kept"))
            else:
                branches.append(Branch(parent, token, log_prob, total, "dropped"))
    best = max(ended, key=lambda hypothesis: hypothesis.score)
    return Search(branches, best, words)


# Worked out by hand: "b a" wins with -1.0; "a" ended with -2.5; "c" was dropped at once, "a c" after "a".
SMALL = Search(
    [
        Branch(-1, 1, -0.5, -0.5, "kept"),
        Branch(-1, 2, -0.7, -0.7, "kept"),
        Branch(-1, 3, -3.0, -3.0, "dropped"),
        Branch(1, 1, -0.2, -0.9, "kept"),
        Branch(0, 2, -1.5, -2.0, "kept"),
        Branch(0, EOS, -2.0, -2.5, "ended"),
        Branch(0, 3, -3.5, -4.0, "dropped"),
        Branch(3, EOS, -0.1, -1.0, "ended"),
    ],
    Hypothesis((2, 1), (-0.7, -0.2, -0.1), -0.75),
    ["</s>", "▁a", "▁b", "▁c"],
)
