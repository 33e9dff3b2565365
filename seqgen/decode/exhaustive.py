"""Exact search: the best outputs of all up to the greatest length, with a proof.

Branch and bound, as Stahlberg and Byrne 2019 apply it to translation. Every further token adds a log-probability of at
most 0, so that a prefix bounds all outputs that begin with it. What cannot beat the best outputs known is not
visited; when nothing is left to visit these are the best of all. It ends because at most `1 / p` prefixes of one length
are more probable than `p`: the better the outputs that it is given to begin with, the less it has to visit.

Where they visit one prefix per call of the network, depth first, here the best prefixes of all sentences are visited
together, best first, which visits the fewest. If too many states pile up the longest go first until there is room. A
search that runs out of its budget returns what it has found, and how much better another output could be.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from seqgen.config import SearchConfig
from seqgen.decode.constraints import Constraints
from seqgen.decode.frontier import Frontier, Prefix, States
from seqgen.decode.hypothesis import Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.scores import NBest, Observer, length_divisor, score
from seqgen.decode.step import State, advance

# By how much the network's own precision may misjudge a bound; what passes is compared again in fp64.
_SLACK = 1e-5


@dataclass(frozen=True)
class Certified:
    """What an exhaustive search found, and what it proved.

    Args:
        hypotheses (list[Hypothesis]): at most `n_best`, best first.
        optimal (bool): no other output scores higher than any of these, of which there is at least one, and if they are
            fewer than `n_best` there is no other output.
        bound (float): what no other output exceeds.
        nodes (int): how many prefixes were expanded.
    """

    hypotheses: list[Hypothesis]
    optimal: bool
    bound: float
    nodes: int

    @property
    def gap(self) -> float:
        """By how much another output can at most exceed the last of these; 0 if they are optimal."""
        if self.optimal:
            return 0.0
        return max(0.0, self.bound - self.hypotheses[-1].score) if self.hypotheses else math.inf


@torch.inference_mode()
def exhaustive_search(
    problem: Problem[State],
    config: SearchConfig,
    incumbents: Sequence[Sequence[Hypothesis]],
    *,
    attention: bool = False,
    batch_rows: int = 128,
    max_rows: int = 16_384,
) -> list[Certified]:
    """The best outputs of all.

    Args:
        problem (Problem[State]): the sentences.
        config (SearchConfig): score, constraints and budgets.
        incumbents (Sequence[Sequence[Hypothesis]]): outputs of each sentence to begin with, such as a beam search
            finds for the same problem and configuration; `n_best` of them are the most useful.
        attention (bool): whether hypotheses that are found carry the network's attention.
        batch_rows (int): how many prefixes are expanded together.
        max_rows (int): how many states of the network may be stored before the longest prefixes go first.

    Returns:
        list[Certified]: one per sentence.
    """
    search = _Search(problem, config, incumbents, attention)
    while search.open:
        search.advance(batch_rows, max_rows)
    return [sentence.certified() for sentence in search.sentences]


@dataclass
class _Sentence:
    best: NBest
    frontier: Frontier
    divisor: float  # of the greatest length
    bound: float = -math.inf  # what is left to visit when the budget ends
    nodes: int = 0
    seconds: float = 0.0

    @property
    def floor(self) -> float:
        """The total that a prefix must exceed to lead to a better output."""
        return self.best.threshold * self.divisor

    def ends(self, config: SearchConfig) -> bool:
        """Whether nothing is left to visit, or no budget; if so, whatever is left is given up."""
        spent = 0 < config.max_nodes <= self.nodes or 0.0 < config.max_seconds <= self.seconds
        if self.frontier and spent:
            self.bound = self.frontier.best_total / self.divisor
            self.frontier.prune(math.inf)
        return not self.frontier

    def certified(self) -> Certified:
        """The answer, once it has ended."""
        optimal = bool(self.best.hypotheses) and self.bound == -math.inf
        return Certified(self.best.hypotheses, optimal, self.best.threshold if optimal else self.bound, self.nodes)


class _Search(Generic[State]):
    def __init__(
        self, problem: Problem[State], config: SearchConfig, incumbents: Sequence[Sequence[Hypothesis]], attention: bool
    ) -> None:
        self._problem, self._config = problem, config
        self._constraints = Constraints(problem, config)
        self._observer = Observer(problem, config, wanted=attention)
        self._states = States(problem.step, problem.start.device)
        limits = problem.limits
        divisors = length_divisor(limits, config).tolist()
        self.sentences = [
            _Sentence(NBest(config.n_best), Frontier(limit), divisor)
            for limit, divisor in zip(limits.tolist(), divisors, strict=True)
        ]
        # The only child of an origin is the empty prefix, whose token is what the network is given first.
        origins = [
            Prefix(number, None, -1, 0.0, 0.0, -1, tokens=[start], log_probs=[0.0])
            for number, start in enumerate(problem.start.tolist())
        ]
        self._states.add(problem.state, origins)
        for sentence, origin, known in zip(self.sentences, origins, incumbents, strict=True):
            for hypothesis in known:
                sentence.best.add(hypothesis)
            sentence.frontier.push(origin, sentence.floor)
        self.open = [sentence for sentence in self.sentences if not sentence.ends(config)]

    def advance(self, batch_rows: int, max_rows: int) -> None:
        """Expand the most promising prefixes of all open sentences."""
        began = time.monotonic()
        prefixes = self._take(batch_rows, longest=self._states.rows > max_rows)
        last = torch.tensor([prefix.token for prefix in prefixes], device=self._problem.start.device)
        log_probs, state = advance(self._problem.step, last, self._states.gather(prefixes))
        if (attention := self._observer.read(state)) is not None:
            for prefix, row in zip(prefixes, attention, strict=True):
                prefix.attention = row
        self._constrain(prefixes, log_probs)
        self._end(prefixes, log_probs)
        self._branch(prefixes, log_probs)
        self._states.add(state, prefixes)
        # What a sentence is charged is its share of the batch, as if the others were not there.
        elapsed = (time.monotonic() - began) / len(prefixes)
        for number, count in Counter(prefix.sentence for prefix in prefixes).items():
            self.sentences[number].nodes += count
            self.sentences[number].seconds += count * elapsed
        self.open = [sentence for sentence in self.open if not sentence.ends(self._config)]
        self._states.tidy()

    def _take(self, room: int, *, longest: bool) -> list[Prefix]:
        """Visit prefixes, as many of each open sentence as long as it has them; sorted by where their states are."""
        taken: list[Prefix] = []
        for place, sentence in enumerate(self.open[:room]):
            share = (room - len(taken)) // (min(room, len(self.open)) - place)
            if self._config.max_nodes:
                share = min(share, self._config.max_nodes - sentence.nodes)
            while share and sentence.frontier:
                taken.append(sentence.frontier.pop(sentence.floor, longest=longest))
                share -= 1
        return sorted(taken, key=lambda prefix: prefix.chunk)

    def _constrain(self, prefixes: list[Prefix], log_probs: Tensor) -> None:
        sentences = torch.tensor([prefix.sentence for prefix in prefixes])
        lengths = torch.tensor([prefix.length for prefix in prefixes])
        history = [tokens_of(prefix) for prefix in prefixes] if self._constraints.read_history else ()
        self._constraints.apply(log_probs, sentences, lengths, history)

    def _end(self, prefixes: list[Prefix], log_probs: Tensor) -> None:
        """Let prefixes end where that makes one of the best outputs."""
        ends = log_probs[:, self._problem.eos_id].cpu().double()
        totals = torch.tensor([prefix.total for prefix in prefixes], dtype=torch.float64) + ends
        lengths = torch.tensor([prefix.length + 1 for prefix in prefixes])
        best = [self.sentences[prefix.sentence].best.threshold for prefix in prefixes]
        # Without the coverage, which only lowers a score.
        good = (score(totals, lengths, self._config) > torch.tensor(best, dtype=torch.float64)).nonzero()[:, 0].tolist()
        for i in good:
            sentence = self.sentences[prefixes[i].sentence]
            before = sentence.floor
            sentence.best.add(self._output(prefixes[i], totals[i], ends[i].item()))
            if sentence.floor > before:
                sentence.frontier.prune(sentence.floor)

    def _output(self, prefix: Prefix, total: Tensor, log_prob: float) -> Hypothesis:
        path = prefix.path()
        rows = [each.attention for each in path if each.attention is not None]
        attention = torch.stack(rows) if rows else None
        sentence = torch.tensor([prefix.sentence])
        covered = self._observer.cover(None if attention is None else attention[None], sentence)
        value = score(total[None], torch.tensor([len(path)]), self._config, covered).item()
        log_probs = (*(each.log_prob for each in path[1:]), log_prob)
        return Hypothesis(tokens_of(prefix), log_probs, value, self._observer.show(attention, prefix.sentence))

    def _branch(self, prefixes: list[Prefix], log_probs: Tensor) -> None:
        """Give prefixes those children that may lead to better outputs."""
        log_probs[:, self._problem.eos_id] = -math.inf
        totals = torch.tensor([prefix.total for prefix in prefixes], dtype=torch.float64)
        floors = torch.tensor([self.sentences[prefix.sentence].floor for prefix in prefixes], dtype=torch.float64)
        needed = floors - totals
        rough = (needed - _SLACK * (1.0 + needed.abs())).to(log_probs)
        rows, tokens = (log_probs > rough[:, None]).nonzero(as_tuple=True)
        values, rows, tokens = log_probs[rows, tokens].cpu().double(), rows.cpu(), tokens.cpu()
        good = (totals[rows] + values > floors[rows]).nonzero()[:, 0].flip(0)
        # By row, then the most probable last, and of equals the one with the lowest number.
        order = good[values[good].argsort(stable=True)]
        order = order[rows[order].argsort(stable=True)]
        counts = torch.bincount(rows[order], minlength=len(prefixes)).tolist()
        chosen, each = tokens[order].tolist(), values[order].tolist()
        begin = 0
        for prefix, count in zip(prefixes, counts, strict=True):
            prefix.tokens, prefix.log_probs = chosen[begin : begin + count], each[begin : begin + count]
            begin += count
            sentence = self.sentences[prefix.sentence]
            sentence.frontier.push(prefix, sentence.floor)


def tokens_of(prefix: Prefix) -> tuple[int, ...]:
    """The tokens of a prefix, without what the network is given first."""
    return tuple(each.token for each in prefix.path()[1:])
