"""Which tokens may come next: the same rules for every search, laid over the network's log-probabilities.

What is left is not renormalised: a log-probability stays the network's own, and an output that no rule concerns
keeps its score. All that is small lies on the CPU; only the log-probabilities are where the network is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqgen.config import SearchConfig
from seqgen.decode.problem import Problem
from seqgen.decode.step import State

_FREE = -1


class Constraints:
    """The rules of one search. Where two of them meet, the one named first holds.

    The prefix is as given. At the greatest length only the end symbol is allowed. A banned token is not produced.
    No `no_repeat_ngram` tokens occur twice in the same order. Right after a prefix comes a token of `after_prefix`, and
    before `min_length` there is no end symbol; in both cases it comes all the same when nothing else is allowed.

    Args:
        problem (Problem[State]): its prefixes, greatest lengths and banned tokens.
        config (SearchConfig): `min_length` and `no_repeat_ngram`.
    """

    def __init__(self, problem: Problem[State], config: SearchConfig) -> None:
        self._eos_id, self._limits = problem.eos_id, problem.limits
        self._min_length, self._ngram = config.min_length, config.no_repeat_ngram
        banned = sorted(set(problem.banned) - {problem.eos_id})
        self._banned = torch.tensor(banned, dtype=torch.long, device=problem.start.device)
        longest = max((len(prefix) for prefix in problem.prefixes), default=0)
        self._forced = torch.full((len(problem), longest + 1), _FREE)
        for sentence, prefix in enumerate(problem.prefixes):
            self._forced[sentence, : len(prefix)] = torch.tensor(prefix, dtype=torch.long)
        self._after_prefix = problem.after_prefix
        # No row is ever -1 tokens long: nothing comes after a prefix that is none.
        self._prefix_lengths = torch.tensor([len(prefix) or -1 for prefix in problem.prefixes] or [-1] * len(problem))

    @property
    def read_history(self) -> bool:
        """Whether `apply` needs the tokens so far."""
        return self._ngram > 0

    def apply(
        self, log_probs: Tensor, sentences: Tensor, lengths: Tensor, history: Sequence[Sequence[int]] = ()
    ) -> None:
        """Set what is not allowed to minus infinity, in place.

        Args:
            log_probs (Tensor): of the next token, `(rows, vocab)`.
            sentences (Tensor): which sentence each row belongs to, `(rows,)`, on the CPU.
            lengths (Tensor): how many tokens each row has so far, `(rows,)`, on the CPU.
            history (Sequence[Sequence[int]]): the tokens of each row, if `read_history`.
        """
        only = self._only(sentences, lengths)
        narrow = (only != _FREE).nonzero()[:, 0]
        rows, tokens = narrow.to(log_probs.device), only[narrow].to(log_probs.device)
        wanted = log_probs[rows, tokens]
        if len(self._banned):
            log_probs.index_fill_(1, self._banned, -math.inf)
        if self._ngram:
            self._forbid_repeats(log_probs, history)
        self._delay_end(log_probs, sentences, lengths)
        if len(narrow):
            log_probs[rows] = -math.inf
            log_probs[rows, tokens] = wanted

    def _only(self, sentences: Tensor, lengths: Tensor) -> Tensor:
        """The one token that each row may have, or `_FREE`, `(rows,)`."""
        beyond = self._forced.shape[1] - 1
        only = self._forced[sentences, lengths.clamp(max=beyond)]
        return only.masked_fill_(lengths + 1 >= self._limits[sentences], self._eos_id)

    def _delay_end(self, log_probs: Tensor, sentences: Tensor, lengths: Tensor) -> None:
        after = lengths == self._prefix_lengths[sentences]
        if self._after_prefix is None:
            after = torch.zeros_like(after)
        rows = (after | (lengths < self._min_length)).nonzero()[:, 0].to(log_probs.device)
        if not len(rows):
            return
        end = log_probs[rows, self._eos_id]
        log_probs[rows, self._eos_id] = -math.inf
        if self._after_prefix is not None:
            opening = after.nonzero()[:, 0].to(log_probs.device)
            log_probs[opening] = log_probs[opening].masked_fill(~self._after_prefix, -math.inf)
        stuck = log_probs.amax(dim=-1)[rows] == -math.inf
        log_probs[rows[stuck], self._eos_id] = end[stuck]

    def _forbid_repeats(self, log_probs: Tensor, history: Sequence[Sequence[int]]) -> None:
        rows_and_tokens = [(row, t) for row, tokens in enumerate(history) for t in repeating(tokens, self._ngram)]
        if rows_and_tokens:
            rows, tokens = torch.tensor(rows_and_tokens, device=log_probs.device).unbind(dim=1)
            log_probs[rows, tokens] = -math.inf


def repeating(tokens: Sequence[int], size: int) -> set[int]:
    """The tokens that would complete a sequence of `size` tokens that has occurred before."""
    tail = list(tokens[len(tokens) - size + 1 :]) if size > 1 else []
    ends = range(size - 1, len(tokens))
    return {tokens[end] for end in ends if list(tokens[end - size + 1 : end]) == tail}
