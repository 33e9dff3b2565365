"""Translation: sentences per second of beam search, beside JoeyNMT's and beside nothing but matrix products.

    python tests/benchmarks/run.py translation --threads 1
    SEQGEN_TEST_DATA=DIR python tests/benchmarks/compare_translation.py --model multi30k-de-en-lstm --threads 1

The comparison forces all sides to write the same number of tokens for the same number of source tokens, with random
weights; without JoeyNMT (see `plain_joey`) its rows are missing. The script measures a real model instead: each
search at two batch sizes, and how full the batches of a beam are, over sentences of Multi30k's test_2016_flickr
(`DIR/multi30k/test_2016_flickr.de`) or over a few built-in ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import Row, Settings, Side, compare, interleaved, seconds
from plain_joey import BOS, EOS, PAD, UNK, joey_searches, recurrent, transformer
from plain_torch import use_threads
from torch import Tensor

from seqgen.config import SearchConfig, Seq2SeqConfig
from seqgen.decode.beam import beam_search
from seqgen.decode.problem import Problem
from seqgen.nets.products import product, reordered
from seqgen.nets.recurrent.seq2seq import Seq2Seq
from seqgen.nets.stepping.seq2seq import Seq2SeqStep
from seqgen.nets.stepping.steps import SourceStep, source_step
from seqgen.tasks.targets import Method
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translator

VOCABULARY, BEAM, TOKENS = 5000, 5, 15
PEERS = {"RNN 512": recurrent(512), "RNN 320": recurrent(320), "Transformer": transformer(512)}
"""The first has seqgen's widths, which are more parameters, for its output layer is as wide as its state; the others
have about as many parameters as seqgen's default."""
BATCHES = {1: 8, 64: 1}
"""Batch sizes, and how many batches one measurement takes."""
QUANTILES = (9, 10, 11, 12, 13, 14, 14, 15, 16, 17, 18, 19, 20, 23, 25, 32)
"""Of the source lengths of test_2016_flickr in pieces of a vocabulary of 5,000, end symbols included."""
BUILT_IN = (
    "Ein Hund rennt durch den Schnee.",
    "Zwei Männer stehen am Herd und bereiten Essen zu.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
    "Mehrere Männer mit Schutzhelmen bedienen ein Antriebsradsystem.",
)


def translation(settings: Settings) -> list[Row]:
    """Beam 5 with one sentence at a time and with many."""
    use_threads(settings.threads)
    torch.manual_seed(0)
    network = Seq2Seq(Seq2SeqConfig(), VOCABULARY, VOCABULARY)
    network.initialise()
    network.eval().requires_grad_(False)
    searches = joey_searches(VOCABULARY, PEERS)
    if not searches:
        print("JoeyNMT is not installed; its rows are missing", file=sys.stderr)
    return [row for batch in BATCHES for row in _one(settings, network, searches, batch)]


def _one(settings: Settings, network: Seq2Seq, searches: dict[str, Callable[..., int]], batch: int) -> list[Row]:
    times, tokens = settings.amount(BATCHES[batch]) if batch == 1 else 1, settings.amount(TOKENS)
    sources, lengths = random_sources(batch)
    step = Seq2SeqStep(network)

    def rate(search: Callable[[Tensor, Tensor, int, int], int]) -> Side:
        def measure() -> float:
            written: list[int] = []
            took = seconds(lambda: written.extend(search(sources, lengths, BEAM, tokens) for _ in range(times)))
            assert written == [tokens] * times, written
            return batch * times / took

        return measure

    sides = {
        "ours": rate(lambda *given: our_search(step, *given)),
        **{name: rate(run) for name, run in searches.items()},
    }
    ceiling = "matrix products alone"
    sides[ceiling] = lambda: batch / (tokens * _products(network, batch * BEAM, settings.amount(20)))
    measured = interleaved(sides, settings.repeats)
    name = f"beam {BEAM}, {batch} sentence{'s' * (batch > 1)} at a time"
    return [compare(name, measured["ours"], measured[peer], "sentences/s", peer) for peer in sides if peer != "ours"]


def random_sources(batch: int) -> tuple[Tensor, Tensor]:
    """Random tokens of realistic lengths, the longest first, as JoeyNMT wants them."""
    some = [16] if batch == 1 else sorted((QUANTILES * batch)[:batch], reverse=True)
    lengths = torch.tensor(some)
    sources = torch.randint(EOS + 1, VOCABULARY, (batch, int(lengths.max())))
    at = torch.arange(sources.shape[1])
    return sources.masked_fill(at >= lengths[:, None], PAD).masked_fill(at == lengths[:, None] - 1, EOS), lengths


def our_search(step: Seq2SeqStep | SourceStep, sources: Tensor, lengths: Tensor, beam_size: int, tokens: int) -> int:
    problem: Problem[Any] = Problem(
        step=step,
        state=step.start(sources, lengths),
        start=torch.full((len(sources),), BOS),
        eos_id=EOS,
        max_lengths=[tokens] * len(sources),
        banned=(UNK, PAD, BOS),
        source_lengths=lengths.tolist(),
    )
    found = beam_search(problem, SearchConfig(beam_size=beam_size, min_length=tokens - 1))
    (length,) = {len(best.log_probs) for best, *_ in found}
    return length


def _products(network: Seq2Seq, rows: int, times: int) -> float:
    """Seconds of the decoder's matrix products in one step, the attention and the encoder left out."""
    recurrent, feed = network.cell_weights()[0].weights[0], network.input_weights()[1]
    assert isinstance(recurrent, Tensor)
    matrices = (feed, recurrent, network.readout.weight.t(), network.output_matrix.t())
    with torch.inference_mode():
        pairs = [(torch.randn(rows, len(matrix)), reordered(matrix)) for matrix in matrices]
        return seconds(lambda: [product(*pair) for _ in range(times) for pair in pairs]) / times


# A real model ---------------------------------------------------------------------------------------------------


def sentences(count: int) -> list[str]:
    """Of the test set if it is there."""
    path = Path(os.environ.get("SEQGEN_TEST_DATA", ""), "multi30k", "test_2016_flickr.de")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else list(BUILT_IN)
    return (lines * (1 + count // len(lines)))[:count]


def speeds(model: TranslationModel, lines: Sequence[str], repeats: int) -> Iterator[tuple[Method, int, float]]:
    """Sentences per second of each search at each batch size, the best of some repeats."""
    methods: tuple[Method, ...] = ("greedy", "beam", "exhaustive")
    for method in methods:
        for batch in BATCHES:
            translator = Translator([model], method, SearchConfig(beam_size=BEAM), batch_size=batch)
            took = [seconds(lambda t=translator: list(t.stream(lines))) for _ in range(repeats)]  # type: ignore[misc]
            yield method, batch, len(lines) / min(took)


class CountingStep:
    """A network's step that remembers how many rows it was given each time."""

    def __init__(self, step: Any) -> None:
        self.start, self.reorder, self.join = step.start, step.reorder, step.join
        self._step, self.rows = step, list[int]()

    def __call__(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.rows.append(len(tokens))
        log_probs, state = self._step(tokens, state)
        return log_probs, state


def occupancy(model: TranslationModel, lines: Sequence[str], batch: int) -> float:
    """Rows that a beam search keeps busy, out of those that full batches have, over all steps but each first.

    Sentences are sorted by length as `translate` does. What is missing from 1 is what waiting sentences could fill.
    """
    step = CountingStep(source_step(model.network))
    ids = sorted((model.source_tokenizer.encode(line) for line in lines), key=len)
    busy, steps = 0, 0
    for first in range(0, len(ids) - batch + 1, batch):
        source, lengths = model.source_tensors(ids[first : first + batch])
        problem: Problem[Any] = Problem(
            step=step,
            state=step.start(source, lengths),
            start=torch.full((batch,), model.start_id),
            eos_id=model.target_tokenizer.eos_id,
            max_lengths=[2 * length + 10 for length in lengths.tolist()],
        )
        beam_search(problem, SearchConfig(beam_size=BEAM))
        busy, steps = busy + sum(step.rows[1:]), steps + len(step.rows) - 1
        step.rows.clear()
    return busy / (steps * batch * BEAM) if steps else float("nan")


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="multi30k-de-en-lstm")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    use_threads(chosen.threads)
    model = TranslationModel.load(chosen.model, torch.device("cpu"))
    lines = sentences(chosen.sentences)
    print(f"{chosen.threads} threads, {len(lines)} sentences, {model.directory}\n")
    for method, batch, rate in speeds(model, lines, max(1, chosen.repeats)):
        print(f"{method:<11} {batch:>3} at a time {rate:>8.1f} sentences/s", flush=True)
    for batch in (size for size in (16, 64) if size <= len(lines)):
        print(f"a beam over sorted batches of {batch} keeps {occupancy(model, lines, batch):.0%} of its rows busy")


if __name__ == "__main__":
    main()
