"""The gradient through time while a network trains: what is logged, when it warns, and that nothing else changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import torch

from seqgen.config import RecurrentCell, RecurrentConfig, TextConfig, TrainConfig
from seqgen.data.corpus import Corpus, build_corpus
from seqgen.data.tokenizers import CharTokenizer
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.tasks.language.gradient_watch import LANES, GradientWatch
from seqgen.tasks.language.model import new_network
from seqgen.tasks.language.task import LanguageModelTask
from seqgen.train.distributed import Group
from seqgen.train.players import Players

KEYS = ["gradient_flow", "gradient_rate_1", "gradient_reach_1", "gradient_rate_2", "gradient_reach_2"]


def corpus_of(folder: Path) -> Corpus:
    (folder / "data.txt").write_text("To be, or not to be, that is the question.\n" * 20)
    return build_corpus(TextConfig(paths=(str(folder / "data.txt"),)), folder / "data", lambda message: None)


def network_of(cell: RecurrentCell = "rnn", vocab: str = "abcde") -> RecurrentNetwork:
    network = new_network(RecurrentConfig(cell=cell, embed_size=8, hidden_size=16), CharTokenizer(vocab), 0)
    assert isinstance(network, RecurrentNetwork)
    return network


def scale(network: RecurrentNetwork, by: float) -> None:
    for i in range(len(network.layers)):
        network.get_parameter(f"layers.{i}.weight_hh_l0").data *= by


def look(watch: GradientWatch, network: RecurrentNetwork, step: int, time: int = 32) -> dict[str, object]:
    tokens = torch.randint(network.vocab_size, (LANES + 4, time + 1), generator=torch.Generator().manual_seed(step))
    return watch.measure(step, tokens[:, :-1], tokens[:, 1:], network.initial_state(LANES + 4))


def test_it_warns_once_for_each_change_for_the_worse() -> None:
    said: list[str] = []
    network = network_of()
    watch = GradientWatch(network, 1, said.append)
    assert look(watch, network, 1)["gradient_flow"] == look(watch, network, 2)["gradient_flow"] == "vanishing"
    scale(network, 4.0)
    assert look(watch, network, 3)["gradient_flow"] == look(watch, network, 4)["gradient_flow"] == "exploding"
    scale(network, 0.1)
    look(watch, network, 5)
    assert [re.sub(r"\d+\.\d", "N", sentence.split(";")[0]) for sentence in said] == [
        "step 1: the gradient through time is vanishing: half-life of N steps",
        "step 3: the gradient through time is exploding: doubles every N steps",
        "step 5: the gradient through time is vanishing: half-life of N steps",
    ]
    assert re.search(r"; the network learns next to nothing from what lies more than \d+ steps back$", said[0])
    assert said[1].endswith("; a smaller --lr or --clip tames its steps")


def test_health_is_no_news() -> None:
    said: list[str] = []
    network = network_of("lstm")
    record = look(GradientWatch(network, 1, said.append), network, 1)
    assert list(record) == KEYS
    assert record["gradient_flow"] == "healthy"
    assert said == []


def test_it_looks_when_a_look_is_due_and_the_chunk_is_long_enough() -> None:
    network = network_of("lstm")
    watch = GradientWatch(network, 3, pytest.fail)
    assert [bool(look(watch, network, step)) for step in range(1, 7)] == [False, False, True] * 2
    assert look(watch, network, 3, time=8) == {}
    assert look(watch, network, 3, time=9)


@pytest.mark.parametrize("cell", get_args(RecurrentCell))
def test_a_watched_run_learns_the_same(tmp_path: Path, cell: RecurrentCell) -> None:
    corpus, config = corpus_of(tmp_path), TrainConfig(steps=4, lr=1e-2, warmup_steps=0, ema=0.0)
    weights, records = [], []
    for every in (0, 2):
        network = network_of(cell, "".join(sorted(set("To be, or not to be, that is the question.\n"))))
        watch = GradientWatch(network, every, lambda message: None) if every else None
        task = LanguageModelTask(network, corpus, 16, batch_size=4, seed=0, watch=watch)
        players = Players(task.players, config, Group())
        for step in range(config.steps or 0):
            torch.manual_seed(step)
            task.prepare(step)
            loss, _ = players.turn("model", lambda part, task=task: task.loss("model", part, 1), 1e-2, step)  # type: ignore[misc]
            records.append(task.measures({"model": loss}))
        weights.append(network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert ["gradient_flow" in record for record in records] == [False] * 4 + [False, True] * 2
    assert [record["loss"] for record in records[:4]] == [record["loss"] for record in records[4:]]
