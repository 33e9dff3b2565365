"""Translating with a model: lines in, lines out, in order, whatever the search."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.data.tokens import TokenIds, decode
from seqgen.decode.beam import beam_search
from seqgen.decode.ensemble import EnsembleStep
from seqgen.decode.exhaustive import Certified, exhaustive_search
from seqgen.decode.greedy import greedy_search, sample_search
from seqgen.decode.hypothesis import Branch, Hypothesis
from seqgen.decode.problem import Problem
from seqgen.decode.step import Step
from seqgen.errors import ModelError, SeqgenError
from seqgen.nets.stepping.steps import source_step
from seqgen.seeds import derive
from seqgen.tasks.translation.model import TranslationModel

Method = Literal["greedy", "beam", "exhaustive", "sample"]

# A source is cut here: attention to a longer one costs more than any sentence is worth.
MAX_SOURCE_TOKENS = 1024
# Hypotheses that go through the network together, at most, whatever the beam: each takes a row of log-probabilities.
MOST_ROWS = 4096
# Lines are sorted by length within this many batches, so that the sentences of a batch end together.
BATCHES_AT_ONCE = 16
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
class Translation:
    """What became of one line.

    Args:
        source (str): the line.
        source_tokens (tuple[str, ...]): its pieces as the encoder reads them, the end symbol last.
        outputs (tuple[Output, ...]): best first; none for an empty line.
        proof (Certified | None): what an exhaustive search found out.
        tree (tuple[Branch, ...]): what a beam search considered, if that was asked for.
        unseen (tuple[str, ...]): its characters that the model has never seen, as often as they stand there.
        cut (bool): whether the line was too long and only its beginning was translated.
    """

    source: str
    source_tokens: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    proof: Certified | None = None
    tree: tuple[Branch, ...] = ()
    unseen: tuple[str, ...] = ()
    cut: bool = False

    @property
    def text(self) -> str:
        """The best output; an empty line stays empty."""
        return self.outputs[0].text if self.outputs else ""


@dataclass(frozen=True)
class _Sentence:
    """A line on its way: its place in the stream, and its token ids by each model."""

    number: int
    line: str
    ids: tuple[TokenIds, ...]

    @property
    def length(self) -> int:
        return len(self.ids[0])


@dataclass
class Translator:
    """Translates with one model, or with the mean of several.

    Args:
        models (Sequence[TranslationModel]): those of an ensemble share their target vocabulary.
        method (Method): how the output is looked for; `exhaustive` starts from a beam.
        search (SearchConfig): which output is wanted.
        sampling (SamplingConfig): how `sample` draws.
        seed (int): of `sample`; line i draws the same numbers whatever is translated beside it.
        prefix (str): what every translation begins with; white space at its end means that a word ends there.
        max_length (int): the most tokens of an output, the end symbol included; 0: twice the source's and ten more.
        batch_size (int): sentences that go through the network together, at most; fewer when the beam is very wide.
        batch_tokens (int): source tokens, padding included, that do; 0: no limit. One sentence always does.
        trees (bool): whether to keep what a beam search considered.
        attention (bool): whether to keep what each target token looked at, if that can be told.
        dtype (torch.dtype | None): of the products of the networks' layers; None: the weights' own.

    Raises:
        ModelError: the models do not fit together.
    """

    models: Sequence[TranslationModel]
    method: Method = "beam"
    search: SearchConfig = field(default_factory=SearchConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    seed: int = 0
    prefix: str = ""
    max_length: int = 0
    batch_size: int = 64
    batch_tokens: int = 0
    trees: bool = False
    attention: bool = False
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        self._first, *others = self.models
        for other in others:
            if other.target_tokenizer.to_bytes() != self._first.target_tokenizer.to_bytes():
                raise ModelError(f"{other.directory} has another target vocabulary than {self._first.directory}")
            if other.start_id != self._first.start_id:
                raise ModelError(f"{other.directory} starts with another symbol than {self._first.directory}")
        if self.search.coverage_penalty and not self.aligned:
            raise ModelError("no coverage can be penalised without attention to one source")
        width = self.search.beam_size if self.method in ("beam", "exhaustive") else 1
        self._most = max(1, min(self.batch_size, MOST_ROWS // width))
        begins_word = [token.startswith(b" ") for token in self._first.target_tokenizer.token_bytes]
        self._begins_word = torch.tensor(begins_word, device=self._first.network.device)
        self._steps = [source_step(model.network, self.dtype) for model in self.models]

    @property
    def aligned(self) -> bool:
        """Whether it can be told what an output looked at: a model has attention, and all read the same tokens."""
        first, *others = ((m.source_tokenizer.to_bytes(), m.reverse_source) for m in self.models)
        return all(other == first for other in others) and any(m.network.attends for m in self.models)

    def stream(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Translate any number of lines, in order, holding no more than a few batches of them.

        With a batch size of 1 a translation is there before the next line is read.
        """
        window = self.batch_size * (BATCHES_AT_ONCE if self.batch_size > 1 else 1)
        sentences = (self._sentence(number, line) for number, line in enumerate(lines))
        fault: SeqgenError | None = None
        while fault is None:
            some: list[_Sentence] = []
            try:
                some.extend(itertools.islice(sentences, window))
            except SeqgenError as error:  # a line that is no text: those before it are answered first
                fault = error
            if not some:
                break
            done = {s.number: Translation(s.line) for s in some if not s.length}
            for batch in self._batches(sorted((s for s in some if s.length), key=lambda s: s.length)):
                done |= zip((s.number for s in batch), self._translate(batch), strict=True)
            yield from (done[s.number] for s in some)
        if fault is not None:
            raise fault

    def _sentence(self, number: int, line: str) -> _Sentence:
        return _Sentence(number, line, tuple(model.source_tokenizer.encode(line) for model in self.models))

    def _batches(self, sentences: list[_Sentence]) -> Iterator[list[_Sentence]]:
        """Neighbours of a sorted list together, as many as the limits allow."""
        batch: list[_Sentence] = []
        for sentence in sentences:
            full = len(batch) == self._most
            if self.batch_tokens and (len(batch) + 1) * (sentence.length + 1) > self.batch_tokens:
                full = True
            if batch and full:
                yield batch
                batch = []
            batch.append(sentence)
        if batch:
            yield batch

    @torch.inference_mode()
    def _translate(self, batch: list[_Sentence]) -> list[Translation]:
        problem, attention = self._problem(batch), self.attention and self.aligned
        trees: list[list[Branch]] | None = [] if self.trees else None
        proofs: list[Certified] = []
        match self.method:
            case "greedy":
                found = [[h] for h in greedy_search(problem, self.search, attention=attention)]
            case "sample":
                seeds = [derive(self.seed, "line", sentence.number) for sentence in batch]
                drawn = sample_search(problem, self.search, self.sampling, seeds, attention=attention)
                found = [[h] for h in drawn]
            case "beam":
                found = beam_search(problem, self.search, attention=attention, trees=trees)
            case "exhaustive":
                start = beam_search(problem, self.search, attention=attention, trees=trees)
                proofs = exhaustive_search(problem, self.search, start, attention=attention)
                found = [proof.hypotheses for proof in proofs]
        return [
            Translation(
                sentence.line,
                self._source_tokens(sentence),
                tuple(map(self._output, found[i])),
                proofs[i] if proofs else None,
                tuple(trees[i]) if trees else (),
                tuple(self._first.source_tokenizer.unseen(sentence.line)),
                sentence.length > MAX_SOURCE_TOKENS,
            )
            for i, sentence in enumerate(batch)
        ]

    def _problem(self, batch: list[_Sentence]) -> Problem[Any]:
        target = self._first.target_tokenizer
        states, lengths = [], []
        for i, (model, own) in enumerate(zip(self.models, self._steps, strict=True)):
            source, source_lengths = model.source_tensors([s.ids[i][:MAX_SOURCE_TOKENS] for s in batch])
            states.append(own.start(source, source_lengths))
            lengths.append(source_lengths.tolist())
        alone = len(self._steps) == 1
        step: Step[Any] = self._steps[0] if alone else EnsembleStep(self._steps, aligned=self.aligned)
        forced = tuple(target.encode(self.prefix).tolist())
        word_ends = bool(forced) and self.prefix[-1].isspace()
        return Problem(
            step=step,
            state=states[0] if alone else tuple(states),
            start=torch.full((len(batch),), self._first.start_id, device=self._first.network.device),
            eos_id=target.eos_id,
            max_lengths=[self.max_length or 2 * n + 10 for n in lengths[0]],
            prefixes=[forced] * len(batch) if forced else (),
            after_prefix=self._begins_word if word_ends else None,
            banned=(target.pad_id, target.unk_id, target.bos_id),
            source_lengths=lengths[0],
        )

    def _output(self, hypothesis: Hypothesis) -> Output:
        target = self._first.target_tokenizer
        text = decode(target, hypothesis.token_ids).translate(_ONE_LINE)
        return Output(text, tuple(map(target.piece, (*hypothesis.token_ids, target.eos_id))), hypothesis)

    def _source_tokens(self, sentence: _Sentence) -> tuple[str, ...]:
        tokenizer = self._first.source_tokenizer
        ids = sentence.ids[0][:MAX_SOURCE_TOKENS].tolist()
        if self._first.reverse_source:
            ids.reverse()
        return tuple(map(tokenizer.piece, [*ids, tokenizer.eos_id]))
