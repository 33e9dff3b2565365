"""Beam search: the best few unfinished outputs of every sentence go on together.

A sentence keeps K live hypotheses. Of all their extensions the best K count: one by the end symbol ends a hypothesis,
and as many others go on as there are places, also from below the best K, so that K stay live (as fairseq does; the
2K best are considered, for at most K of them can end). A sentence stops at its greatest length, at enough ended
hypotheses, or when no live one can still get among the n best (the optimal stopping of Huang, Zhao and Ma 2017). It
leaves the batch then.

The network reads all live hypotheses of all sentences as one batch. Only the best candidates come to the CPU, where all
else happens, in a few tensor operations for the whole batch.
"""

from __future__ import annotations

import math
from typing import Generic

import torch
from torch import Tensor

from seqgen.config import SearchConfig
from seqgen.decode.constraints import Constraints
from seqgen.decode.hypothesis import Branch, Fate, Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.scores import NBest, Observer, score, upper_bound
from seqgen.decode.step import State, advance

_BLOCK = 64


@torch.inference_mode()
def beam_search(
    problem: Problem[State],
    config: SearchConfig,
    *,
    attention: bool = False,
    trees: list[list[Branch]] | None = None,
) -> list[list[Hypothesis]]:
    """The best outputs that a beam of `beam_size` finds.

    Args:
        problem (Problem[State]): the sentences.
        config (SearchConfig): beam, score and constraints.
        attention (bool): whether the hypotheses carry the network's attention.
        trees (list[list[Branch]] | None): gets one list per sentence: every candidate that was considered.

    Returns:
        list[list[Hypothesis]]: at most `n_best` per sentence, best first.
    """
    beam = _Beam(problem, config, attention, trees)
    while beam.goes_on:
        beam.advance()
    return [best.hypotheses for best in beam.best]


class _Beam(Generic[State]):
    """The live hypotheses; `(open, width)` are the sentences that go on and the places in their beams.

    A place that is empty, because fewer extensions were allowed, has a total of minus infinity.
    """

    def __init__(
        self, problem: Problem[State], config: SearchConfig, attention: bool, trees: list[list[Branch]] | None
    ) -> None:
        self._problem, self._config, self._limits = problem, config, problem.limits
        self._constraints = Constraints(problem, config)
        self._observer = Observer(problem, config, wanted=attention)
        self._trees = trees
        if trees is not None:
            trees.extend([] for _ in range(len(problem)))
        self.best = [NBest(config.n_best) for _ in range(len(problem))]
        self._thresholds = torch.full((len(problem),), -math.inf, dtype=torch.float64)
        self._ended = torch.zeros(len(problem), dtype=torch.long)
        self._open = torch.arange(len(problem))
        self._state, self._last = problem.state, problem.start
        # All sentences begin with one hypothesis, which is empty.
        self._totals = torch.zeros(len(problem), 1, dtype=torch.float64)
        self._tokens = torch.zeros(len(problem), 1, 0, dtype=torch.long)
        self._log_probs = torch.zeros(len(problem), 1, 0, dtype=torch.float64)
        self._attention: Tensor | None = None  # (open, width, time, source)
        self._branches = torch.full((len(problem), 1), -1)

    @property
    def goes_on(self) -> bool:
        """Whether any sentence is open."""
        return len(self._open) > 0

    def advance(self) -> None:
        """One step of the network, and the choice of who ends and who goes on."""
        log_probs, self._state = advance(self._problem.step, self._last, self._state)
        self._watch()
        self._constrain(log_probs)
        totals, parents, tokens, log_probs = self._candidates(log_probs)
        possible, is_end = totals > -math.inf, tokens == self._problem.eos_id
        ends = possible & is_end
        ends[:, self._config.beam_size :] = False
        if limit := self._config.max_hypotheses:
            ends &= self._ended[self._open, None] + ends.cumsum(dim=1) <= limit
        lives = possible & ~is_end
        lives &= lives.cumsum(dim=1) <= self._config.beam_size
        self._end(ends, totals, parents, log_probs)
        branches = self._record(ends, lives, totals, parents, tokens, log_probs)
        # Who goes on comes first, in the same order; the beam is as wide as its longest list.
        order = lives.byte().argsort(dim=1, descending=True, stable=True)[:, : int(lives.sum(dim=1).max())]
        totals = totals.masked_fill(~lives, -math.inf)
        self._go_on(*(values.gather(1, order) for values in (totals, parents, tokens, log_probs, branches)))

    def _watch(self) -> None:
        attention = self._observer.read(self._state)
        if attention is not None:
            attention = attention.view(*self._totals.shape, 1, -1)
            before = [] if self._attention is None else [self._attention]
            self._attention = torch.cat((*before, attention), dim=2)

    def _constrain(self, log_probs: Tensor) -> None:
        sentences = self._open.repeat_interleave(self._totals.shape[1])
        history = self._tokens.flatten(0, 1).tolist() if self._constraints.read_history else ()
        self._constraints.apply(log_probs, sentences, torch.full_like(sentences, self._tokens.shape[2]), history)

    def _candidates(self, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best 2K extensions of each sentence, best first.

        Args:
            log_probs (Tensor): of all tokens, `(open * width, vocab)`.

        Returns:
            tuple[Tensor, Tensor, Tensor, Tensor]: totals, places of the parents, tokens, and the tokens'
            log-probabilities, each `(open, candidates)`.
        """
        totals, index = best_extensions(log_probs, self._totals, 2 * self._config.beam_size)
        parents, tokens = index // log_probs.shape[1], index % log_probs.shape[1]
        rows = torch.arange(len(totals))[:, None] * self._totals.shape[1] + parents
        device = log_probs.device
        chosen = log_probs[rows.to(device), tokens.to(device)].cpu().double()
        return totals, parents, tokens, chosen

    def _end(self, ends: Tensor, totals: Tensor, parents: Tensor, log_probs: Tensor) -> None:
        """Turn candidates `ends`, `(open, candidates)`, into outputs."""
        row, rank = ends.nonzero(as_tuple=True)
        place, sentences = parents[row, rank], self._open[row]
        self._ended += torch.bincount(sentences, minlength=len(self._ended))
        attention = None if self._attention is None else self._attention[row, place]
        lengths = torch.full_like(row, self._tokens.shape[2] + 1)
        covered = self._observer.cover(attention, sentences)
        scores = score(totals[row, rank], lengths, self._config, covered).tolist()
        tokens = self._tokens[row, place].tolist()
        each = torch.cat((self._log_probs[row, place], log_probs[row, rank, None]), dim=1).tolist()
        for i, sentence in enumerate(sentences.tolist()):
            shown = self._observer.show(None if attention is None else attention[i], sentence)
            self.best[sentence].add(Hypothesis(tuple(tokens[i]), tuple(each[i]), scores[i], shown))
            self._thresholds[sentence] = self.best[sentence].threshold

    def _go_on(self, totals: Tensor, parents: Tensor, tokens: Tensor, log_probs: Tensor, branches: Tensor) -> None:
        """Make candidates `(open, width)` the live hypotheses, and let go of the sentences that are done."""
        stays = self._undecided(totals).nonzero()[:, 0]
        rows, parents = stays[:, None], parents[stays]
        index = (rows * self._totals.shape[1] + parents).flatten()
        if not torch.equal(index, torch.arange(self._totals.numel())):
            self._state = self._problem.step.reorder(self._state, index.to(self._last.device))
        self._last = tokens[stays].flatten().to(self._last.device)
        self._tokens = torch.cat((self._tokens[rows, parents], tokens[stays, :, None]), dim=2)
        self._log_probs = torch.cat((self._log_probs[rows, parents], log_probs[stays, :, None]), dim=2)
        self._attention = None if self._attention is None else self._attention[rows, parents]
        self._totals, self._branches, self._open = totals[stays], branches[stays], self._open[stays]

    def _undecided(self, totals: Tensor) -> Tensor:
        """Which sentences could still find a better output, `(open,)`, if these totals `(open, width)` go on."""
        if not totals.shape[1]:
            return torch.zeros(len(totals), dtype=torch.bool)
        bounds = upper_bound(totals[:, 0], self._limits[self._open], self._config)
        undecided = bounds > self._thresholds[self._open]
        if limit := self._config.max_hypotheses:
            undecided &= self._ended[self._open] < limit
        return undecided

    def _record(
        self, ends: Tensor, lives: Tensor, totals: Tensor, parents: Tensor, tokens: Tensor, log_probs: Tensor
    ) -> Tensor:
        """Add the candidates to the trees; where each stands there, `(open, candidates)`, if trees are wanted."""
        if self._trees is None:
            return parents
        numbers = torch.full_like(parents, -1)
        columns = (self._branches.gather(1, parents), tokens, log_probs, totals, ends, lives)
        for row, candidates in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            tree = self._trees[self._open[row]]
            for rank, (origin, token, log_prob, total, end, live) in enumerate(zip(*candidates, strict=True)):
                if total > -math.inf:
                    numbers[row, rank] = len(tree)
                    fate: Fate = "ended" if end else "kept" if live else "dropped"
                    tree.append(Branch(origin, token, log_prob, total, fate))
        return numbers


def best_extensions(log_probs: Tensor, totals: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The most probable extensions of each sentence by one token.

    The vocabulary is taken in blocks: the best `count` extensions lie in the `count` blocks with the highest maxima,
    so that all but these are read only once, for their maximum. A plain `topk` of each row takes three times as long.

    Args:
        log_probs (Tensor): of all tokens, `(open * width, vocab)`.
        totals (Tensor): of what is extended, `(open, width)`, in fp64 on the CPU.
        count (int): how many are wanted.

    Returns:
        tuple[Tensor, Tensor]: totals, the highest first, and places in the table of width and vocab, both
        `(open, candidates)`; of equal totals the lower place first.
    """
    (sentences, width), vocab = totals.shape, log_probs.shape[1]
    whole = vocab - vocab % _BLOCK
    maxima = log_probs[:, :whole].view(len(log_probs), whole // _BLOCK, _BLOCK).amax(dim=2)
    if whole < vocab:
        maxima = torch.cat((maxima, log_probs[:, whole:].amax(dim=1, keepdim=True)), dim=1)
    blocks = maxima.shape[1]
    highest = (totals[:, :, None] + maxima.cpu().double().view(sentences, width, blocks)).flatten(1)
    chosen = _highest(highest, min(count, width * blocks))
    place, block = chosen // blocks, chosen % blocks
    tokens = block[:, :, None] * _BLOCK + torch.arange(_BLOCK)
    rows = (torch.arange(sentences)[:, None] * width + place)[:, :, None]
    device = log_probs.device
    beyond = tokens >= vocab
    tokens.clamp_(max=vocab - 1)
    values = log_probs[rows.to(device), tokens.to(device)].cpu().double()
    values.masked_fill_(beyond, -math.inf).add_(totals.gather(1, place)[:, :, None])
    index = (place[:, :, None] * vocab + tokens).flatten(1)
    order = _highest(values.flatten(1), min(count, index.shape[1]))
    best, ranks = values.flatten(1).gather(1, order).sort(dim=1, descending=True, stable=True)
    return best, index.gather(1, order).gather(1, ranks)


def _highest(values: Tensor, count: int) -> Tensor:
    """The places of the highest values of each row, in ascending order, `(rows, count)`; of equal values the first.

    `topk` alone takes any of those that equal the last one that counts.
    """
    least = values.topk(count, sorted=False).values.amin(dim=1, keepdim=True)
    above, equal = values > least, values == least
    taken = above | (equal & (equal.cumsum(dim=1) <= count - above.sum(dim=1, keepdim=True)))
    return taken.nonzero()[:, 1].view(len(values), count)
