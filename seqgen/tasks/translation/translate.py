"""Translating with a model: lines in, lines out, in order, whatever the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from seqgen.config import SamplingConfig, SearchConfig
from seqgen.data.batching import in_batches
from seqgen.data.tokens import TokenIds
from seqgen.decode.ensemble import EnsembleStep
from seqgen.decode.step import Step
from seqgen.errors import ModelError
from seqgen.nets.stepping.steps import source_step
from seqgen.tasks.targets import Found, Method, Output, Targets
from seqgen.tasks.translation.model import TranslationModel

# A source is cut here: attention to a longer one costs more than any sentence is worth.
MAX_SOURCE_TOKENS = 1024
# Hypotheses that go through the network together, at most, whatever the beam: each takes a row of log-probabilities.
MOST_ROWS = 4096
# Lines are sorted by length within this many batches, so that the sentences of a batch end together.
BATCHES_AT_ONCE = 16


NOTHING = Found()


@dataclass(frozen=True)
class Translation:
    """What became of one line.

    Args:
        source (str): the line.
        source_tokens (tuple[str, ...]): its pieces as the encoder reads them, the end symbol last.
        found (Found): the outputs, none for an empty line, and how they were found.
        unseen (tuple[str, ...]): its characters that the model has never seen, as often as they stand there.
        cut (bool): whether the line was too long and only its beginning was translated.
    """

    source: str
    source_tokens: tuple[str, ...] = ()
    found: Found = NOTHING
    unseen: tuple[str, ...] = ()
    cut: bool = False

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Best first."""
        return self.found.outputs

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
        method (Method): how the output is searched; `exhaustive` starts from a beam.
        search (SearchConfig): which output is wanted.
        sampling (SamplingConfig): how `sample` draws.
        seed (int): of `sample`; line i draws the same numbers whatever is translated beside it.
        prefix (str): what every translation begins with; white space at its end means that a word ends there.
        max_length (int): the most tokens of an output, the end symbol included; 0: twice the source's and ten more.
        batch_size (int): sentences that go through the network together, at most; fewer when the beam is very wide.
        batch_tokens (int): source tokens, padding included, that do; 0: no limit. One sentence always does.
        trees (bool): whether to keep what a beam search considered.
        attention (bool): whether to keep what each target token attended to, if that can be told.
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
        self._targets = Targets(
            self._first.target_tokenizer,
            self._first.start_id,
            self._first.network.device,
            method=self.method,
            search=self.search,
            sampling=self.sampling,
            seed=self.seed,
            prefix=self.prefix,
            trees=self.trees,
            attention=self.attention and self.aligned,
        )
        self._most = max(1, min(self.batch_size, MOST_ROWS // self._targets.width))
        self._steps = [source_step(model.network, self.dtype) for model in self.models]

    @property
    def aligned(self) -> bool:
        """Whether it can be told what an output attended to: a model has attention, and all read the same tokens."""
        first, *others = ((m.source_tokenizer.to_bytes(), m.reverse_source) for m in self.models)
        return all(other == first for other in others) and any(m.network.attends for m in self.models)

    def stream(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Translate any number of lines, in order, holding no more than a few batches of them.

        With a batch size of 1 a translation is there before the next line is read.
        """
        window = self.batch_size * (BATCHES_AT_ONCE if self.batch_size > 1 else 1)
        sentences = (self._sentence(number, line) for number, line in enumerate(lines))
        for some in in_batches(sentences, window):
            done = {s.number: Translation(s.line) for s in some if not s.length}
            for batch in self._batches(sorted((s for s in some if s.length), key=lambda s: s.length)):
                done |= zip((s.number for s in batch), self._translate(batch), strict=True)
            yield from (done[s.number] for s in some)

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
        states, lengths = [], []
        for i, (model, own) in enumerate(zip(self.models, self._steps, strict=True)):
            source, source_lengths = model.source_tensors([s.ids[i][:MAX_SOURCE_TOKENS] for s in batch])
            states.append(own.start(source, source_lengths))
            lengths.append(source_lengths.tolist())
        alone = len(self._steps) == 1
        step: Step[Any] = self._steps[0] if alone else EnsembleStep(self._steps, aligned=self.aligned)
        found = self._targets.find(
            step,
            states[0] if alone else tuple(states),
            [sentence.number for sentence in batch],
            [self.max_length or 2 * n + 10 for n in lengths[0]],
            lengths[0],
        )
        return [
            Translation(
                sentence.line,
                self._source_tokens(sentence),
                each,
                tuple(self._first.source_tokenizer.unseen(sentence.line)),
                sentence.length > MAX_SOURCE_TOKENS,
            )
            for sentence, each in zip(batch, found, strict=True)
        ]

    def _source_tokens(self, sentence: _Sentence) -> tuple[str, ...]:
        tokenizer = self._first.source_tokenizer
        ids = sentence.ids[0][:MAX_SOURCE_TOKENS].tolist()
        if self._first.reverse_source:
            ids.reverse()
        return tuple(map(tokenizer.piece, [*ids, tokenizer.eos_id]))
