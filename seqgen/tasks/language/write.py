"""Writing text with a language model: prompt in, characters out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqgen.config import SamplingConfig
from seqgen.data.tokens import Tokenizer, Utf8Stream, vocab_size
from seqgen.decode.sampling import Sampler
from seqgen.decode.step import PromptedStep
from seqgen.decode.stop import StopText
from seqgen.nets.stepping.steps import text_step
from seqgen.seeds import derive
from seqgen.tasks.language.model import LanguageNetwork

STREAMS_AT_ONCE = 256


@dataclass
class Written:
    """What is known of one finished text."""

    tokens: int = 0
    log_prob: float = 0.0
    stopped_by: str = "length"


@dataclass
class Writer:
    """Writes texts with a network.

    Args:
        network (LanguageNetwork): the model's.
        tokenizer (Tokenizer): its tokenizer.
        sampling (SamplingConfig): how tokens are drawn.
        stop (str): a text ends before this string; empty: only the length ends it.
    """

    network: LanguageNetwork
    tokenizer: Tokenizer
    sampling: SamplingConfig
    stop: str = ""
    finished: dict[int, Written] = field(default_factory=dict)

    def begin(self, prompt: str) -> str:
        """A prompt as the model reads it; nothing if no token is in it, such as spaces for a model of words."""
        return self.tokenizer.normalize(prompt) if len(self.tokenizer.encode(prompt)) else ""

    def write(self, prompt: str, *, length: int, seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Continue a prompt once for every seed.

        Args:
            prompt (str): as from `begin`; may be empty, then the text begins as after a line feed.
            length (int): at most this many tokens each.
            seeds (Sequence[int]): one per text.

        Yields:
            tuple[int, str]: which text goes on, and with what; the prompt is not repeated, but it and the text make
            a whole, so that a text of words begins with a space. When a text has ended, `finished` holds its figures.
        """
        step = text_step(self.network)
        for first in range(0, len(seeds), STREAMS_AT_ONCE):
            some = range(first, min(first + STREAMS_AT_ONCE, len(seeds)))
            yield from self._write_together(step, prompt, length, {i: seeds[i] for i in some})

    def _write_together(
        self, step: PromptedStep[Any], prompt: str, length: int, seeds: Mapping[int, int]
    ) -> Iterator[tuple[int, str]]:
        log_probs, state = step.start(self._prompt_tokens(prompt))
        rows = torch.zeros(len(seeds), dtype=torch.long, device=log_probs.device)
        drawn = list(seeds.values())
        sampler = Sampler(step, log_probs[rows], step.reorder(state, rows), self.sampling, drawn, self._never_drawn())
        live = list(seeds)
        texts = {i: (Utf8Stream(self.tokenizer), StopText(self.stop)) for i in live}
        self.finished |= {i: Written() for i in live}
        gaps = dict.fromkeys(live, self._gap(prompt))
        for _ in range(length):
            tokens, chosen = sampler.advance()
            for i, token, log_prob in zip(live, tokens.tolist(), chosen.tolist(), strict=True):
                characters, stop = texts[i]
                if text := stop.feed(characters.feed(token)):
                    yield i, gaps.pop(i, "") + text
                self.finished[i].tokens += 1
                self.finished[i].log_prob += log_prob
            going = [row for row, i in enumerate(live) if not texts[i][1].stopped]
            if len(going) < len(live):
                live = [live[row] for row in going]
                if not live:
                    break
                sampler.keep(torch.tensor(going, device=log_probs.device))
        for i, (characters, stop) in texts.items():
            rest = stop.feed(characters.finish())
            if stop.stopped:
                self.finished[i].stopped_by = "stop"
            if rest := rest + stop.finish():
                yield i, gaps.pop(i, "") + rest

    def _gap(self, prompt: str) -> str:
        """What parts a prompt from its text: the space that tokens of words bring with them, if it is not there."""
        tokens = self.tokenizer.encode(prompt)
        brings_space = len(tokens) > 0 and self.tokenizer.token_bytes[tokens[-1]].endswith(b" ")
        return " " if brings_space and not prompt[-1].isspace() else ""

    def _never_drawn(self) -> tuple[int, ...]:
        """The unknown token, unless the training text had it: nothing taught the network its probability."""
        tokenizer = self.tokenizer
        known = vocab_size(tokenizer) > 1 and not tokenizer.unknown_in_training
        return (tokenizer.unk_id,) if known else ()

    def _prompt_tokens(self, prompt: str) -> Tensor:
        """Token ids `(1, time)`; an empty prompt becomes a line feed, or what the text of the model begins with."""
        tokens = self.tokenizer.encode(prompt)
        if not len(tokens):
            tokens = self.tokenizer.encode("\n")
            if tokens[0] == self.tokenizer.unk_id:
                tokens = np.asarray([min(1, vocab_size(self.tokenizer) - 1)])
        return torch.from_numpy(tokens)[None].to(self.network.device)


def stream_seeds(seed: int, count: int) -> list[int]:
    """A seed for each of several texts; the i-th does not depend on how many there are."""
    return [derive(seed, "stream", i) for i in range(count)]
