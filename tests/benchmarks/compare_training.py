"""Training: tokens per second of our own loop, of a bare PyTorch loop, and of nothing but matrix products.

The recurrent networks of `train-lm` stand beside `nn.LSTM` and `nn.GRU`, the Transformer of `train-transformer` beside
`plain_gpt`, with the kinds of nanoGPT.
"""

from __future__ import annotations

import random
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch
from measuring import Row, Settings, Side, compare, interleaved, seconds
from plain_gpt import PlainGPT
from plain_torch import CELLS, PlainModel, State, detached, use_threads
from torch import nn
from torch.nn import functional

from seqgen.config import Precision, RecurrentConfig, RecurrentTextConfig, TextConfig, TrainConfig, TransformerConfig
from seqgen.data.corpus import Corpus, build_corpus
from seqgen.data.tokens import vocab_size
from seqgen.tasks.language.model import LanguageConfig, model_files, new_network
from seqgen.tasks.language.task import LanguageModelTask
from seqgen.train.checkpoint import CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, MetricsLog, Record
from seqgen.train.loop import Trainer
from seqgen.train.machine import autocast
from seqgen.train.stop import StopRequest

STEPS = {"LSTM": 40, "GRU": 40, "Transformer": 8}
NETWORKS: dict[str, LanguageConfig] = {
    **{cell.upper(): RecurrentConfig(cell=cell) for cell in CELLS},
    "Transformer": TransformerConfig(positions="learned"),
}
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
CHARACTERS = "".join(map(chr, range(32, 97)))
CPU = torch.device("cpu")
SQUARE = 2048


class _Clock(Listener):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def stepped(self, record: Record, total_steps: int | None) -> None:
        self.ends.append(time.perf_counter())


def training(settings: Settings) -> list[Row]:
    """All networks in both precisions, each against the peer and against the ceiling in that precision."""
    use_threads(settings.threads)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = _corpus(Path(folder))
        for name in NETWORKS:
            for precision in PRECISIONS:
                rows += _one(settings, corpus, Path(folder), name, precision)
    return rows


def _one(settings: Settings, corpus: Corpus, folder: Path, name: str, precision: Precision) -> list[Row]:
    config, batch_size = NETWORKS[name], 16 if name == "Transformer" else 32
    steps = settings.amount(STEPS[name])
    train = TrainConfig(steps=steps, batch_size=batch_size, precision=precision, log_every=10)
    operations = 3 * new_network(config, corpus.tokenizer, 0).operations_per_token
    sides: dict[str, Side] = {
        "ours": lambda: _ours(corpus, folder, config, train),
        "peer": lambda: _peer(corpus, config, train),
        "ceiling": lambda: _multiplications_per_second(precision, settings.amount(8)) / operations,
    }
    measured = interleaved(sides, settings.repeats)
    what, peer = f"train {name} {precision}", "nanoGPT's model" if name == "Transformer" else "plain PyTorch loop"
    return [
        compare(what, measured["ours"], measured["peer"], "tokens/s", peer),
        compare(f"{what}, ceiling", measured["ours"], measured["ceiling"], "tokens/s", f"torch.mm of {SQUARE}"),
    ]


def _corpus(folder: Path) -> Corpus:
    draw = random.Random(0)
    (folder / "text.txt").write_text(CHARACTERS + "".join(draw.choices(CHARACTERS, k=1_000_000)))
    return build_corpus(_text(folder), folder / "data", lambda message: None)


def _text(folder: Path) -> TextConfig:
    return TextConfig(paths=(str(folder / "text.txt"),), valid="0")


def _chunk(config: LanguageConfig) -> int:
    """How many tokens of a lane a step reads."""
    return RecurrentTextConfig().bptt if isinstance(config, RecurrentConfig) else config.context


def _ours(corpus: Corpus, folder: Path, config: LanguageConfig, train: TrainConfig) -> float:
    """The loop as the command runs it, clipping, averaged weights and log included, evaluations and saves not."""
    network = new_network(config, corpus.tokenizer, train.seed)
    clock, stop = _Clock(), StopRequest(lambda message: None)
    task = LanguageModelTask(network, corpus, _chunk(config), batch_size=train.batch_size, seed=train.seed)
    with (
        tempfile.TemporaryDirectory(dir=folder) as run,
        closing(MetricsLog(Path(run) / "metrics.jsonl", every=train.log_every, size=0)) as log,
    ):
        store = CheckpointStore(Path(run), model_files(network, corpus.tokenizer))
        Trainer(task, train, store, log, listeners=[clock], stop=stop, group=Group(device=CPU), resume_command="").run()
    return _tokens_per_second(clock.ends, train.batch_size * _chunk(config))


def _peer(corpus: Corpus, config: LanguageConfig, train: TrainConfig) -> float:
    """The same work as it is usually written, with all of the text in memory."""
    chunk, lanes = _chunk(config), train.batch_size
    tokens = torch.from_numpy(corpus.train.read(0, len(corpus.train)))
    length = (len(tokens) - 1) // lanes
    inputs, targets = tokens[: lanes * length].view(lanes, length), tokens[1 : lanes * length + 1].view(lanes, length)
    size = vocab_size(corpus.tokenizer)
    model: nn.Module = PlainModel(config, size) if isinstance(config, RecurrentConfig) else PlainGPT(config, size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=train.lr, weight_decay=train.weight_decay, fused=True)
    assert train.steps is not None
    state: State | None = None
    ends = []
    for step in range(train.steps):
        begin = step * chunk % (length - chunk)
        optimizer.zero_grad()
        with autocast(train.precision, CPU):
            logits, after = model(inputs[:, begin : begin + chunk], state)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets[:, begin : begin + chunk].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), train.clip)
        optimizer.step()
        state = detached(after)
        loss.item()
        ends.append(time.perf_counter())
    return _tokens_per_second(ends, lanes * chunk)


def _tokens_per_second(ends: list[float], tokens: int) -> float:
    """From the end of the third step to the end of the last: the first ones choose kernels and allocate."""
    counted = ends[2:]
    return (len(counted) - 1) * tokens / (counted[-1] - counted[0])


def _multiplications_per_second(precision: Precision, times: int) -> float:
    """Multiplications and additions per second of one large product."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, two = torch.randn(SQUARE, SQUARE).to(kind), torch.randn(SQUARE, SQUARE).to(kind)
    out = torch.mm(one, two)
    return times * 2 * SQUARE**3 / seconds(lambda: [torch.mm(one, two, out=out) for _ in range(times)])
