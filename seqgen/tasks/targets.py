"""The side of an encoder-decoder that writes: from states at the start of some sentences to outputs as text.

It knows neither what a source is nor how it was read: translation and captioning share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import decode
from seqgen.decode.beam import beam_search
from seqgen.decode.exhaustive import Certified, exhaustive_search
from seqgen.decode.greedy import greedy_search, sample_search
from seqgen.decode.hypothesis import Branch, Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.step import Step
from seqgen.seeds import derive

Method = Literal["greedy", "beam", "exhaustive", "sample"]

# A model that spells bytes can write what would end a line, or a column.
_ONE_LINE = str.maketrans("\n\r\t", "   ")


@dataclass(frozen=True)
class Output:
    """One hypothesis as text.

    Args:
        text (str): detokenised, without line feeds and tabs.
        tokens (tuple[str, ...]): its pieces, the end symbol last.
        hypothesis (Hypothesis): token ids, log-probabilities, score, attention.
    """

    text: str
    tokens: tuple[str, ...]
    hypothesis: Hypothesis


@dataclass(frozen=True)
class Found:
    """What a search found for one sentence.

    Args:
        outputs (tuple[Output, ...]): best first.
        proof (Certified | None): what an exhaustive search found out.
        tree (tuple[Branch, ...]): what a beam search considered, if that was asked for.
    """

    outputs: tuple[Output, ...] = ()
    proof: Certified | None = None
    tree: tuple[Branch, ...] = ()


@dataclass
class Targets:
    """Looks for outputs.

    Args:
        tokenizer (SentencePieceTokenizer): of the outputs.
        start_id (int): the token that the decoder is given first.
        device (torch.device): where the decoder is.
        method (Method): how an output is searched for; `exhaustive` starts from a beam.
        search (SearchConfig): which output is wanted.
        sampling (SamplingConfig): how `sample` draws.
        seed (int): of `sample`; sentence i draws the same numbers whatever stands beside it.
        prefix (str): what every output begins with; white space at its end means that a word ends there.
        trees (bool): whether to keep what a beam search considered.
        attention (bool): whether to keep what each token attended to.
    """

    tokenizer: SentencePieceTokenizer
    start_id: int
    device: torch.device
    method: Method = "beam"
    search: SearchConfig = field(default_factory=SearchConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    seed: int = 0
    prefix: str = ""
    trees: bool = False
    attention: bool = False

    def __post_init__(self) -> None:
        begins_word = [token.startswith(b" ") for token in self.tokenizer.token_bytes]
        self._begins_word = torch.tensor(begins_word, device=self.device)

    @property
    def width(self) -> int:
        """How many hypotheses of a sentence go through the decoder together."""
        return self.search.beam_size if self.method in ("beam", "exhaustive") else 1

    def find(
        self,
        step: Step[Any],
        state: Any,
        numbers: Sequence[int],
        max_lengths: Sequence[int],
        source_lengths: Sequence[int],
    ) -> list[Found]:
        """The outputs of some sentences.

        Args:
            step (Step[Any]): the decoder.
            state (Any): where it starts, one row per sentence.
            numbers (Sequence[int]): the places of the sentences in their stream.
            max_lengths (Sequence[int]): the most tokens of each output, the end symbol included.
            source_lengths (Sequence[int]): how many source tokens each sentence has.
        """
        problem = self._problem(step, state, max_lengths, source_lengths)
        trees: list[list[Branch]] | None = [] if self.trees else None
        proofs: list[Certified] = []
        match self.method:
            case "greedy":
                found = [[h] for h in greedy_search(problem, self.search, attention=self.attention)]
            case "sample":
                seeds = [derive(self.seed, "line", number) for number in numbers]
                drawn = sample_search(problem, self.search, self.sampling, seeds, attention=self.attention)
                found = [[h] for h in drawn]
            case "beam":
                found = beam_search(problem, self.search, attention=self.attention, trees=trees)
            case "exhaustive":
                start = beam_search(problem, self.search, attention=self.attention, trees=trees)
                proofs = exhaustive_search(problem, self.search, start, attention=self.attention)
                found = [proof.hypotheses for proof in proofs]
        return [
            Found(
                tuple(map(self._output, hypotheses)),
                proofs[i] if proofs else None,
                tuple(trees[i]) if trees else (),
            )
            for i, hypotheses in enumerate(found)
        ]

    def _problem(
        self, step: Step[Any], state: Any, max_lengths: Sequence[int], source_lengths: Sequence[int]
    ) -> Problem[Any]:
        tokenizer = self.tokenizer
        forced = tuple(tokenizer.encode(self.prefix).tolist())
        word_ends = bool(forced) and self.prefix[-1].isspace()
        return Problem(
            step=step,
            state=state,
            start=torch.full((len(max_lengths),), self.start_id, device=self.device),
            eos_id=tokenizer.eos_id,
            max_lengths=max_lengths,
            prefixes=[forced] * len(max_lengths) if forced else (),
            after_prefix=self._begins_word if word_ends else None,
            banned=(tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id),
            source_lengths=source_lengths,
        )

    def _output(self, hypothesis: Hypothesis) -> Output:
        tokenizer = self.tokenizer
        text = decode(tokenizer, hypothesis.token_ids).translate(_ONE_LINE)
        return Output(text, tuple(map(tokenizer.piece, (*hypothesis.token_ids, tokenizer.eos_id))), hypothesis)
