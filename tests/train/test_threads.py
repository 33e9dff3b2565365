"""The number of threads is measured, and nothing else is touched by it."""

from __future__ import annotations

import pytest
import torch

from seqgen.train import threads

CPU = torch.device("cpu")


def test_candidates_are_doubles_and_the_most() -> None:
    assert threads.candidates(1) == [1]
    assert threads.candidates(2) == [1, 2]
    assert threads.candidates(6) == [1, 2, 4, 6]


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({1: 1.0, 2: 0.55, 4: 0.3}, 4),
        ({1: 1.0, 2: 0.55, 4: 0.52}, 2),  # twice the cores for a twentieth
        ({1: 1.0, 2: 5.0}, 1),  # they spin while others work
        ({1: 1.0, 2: 0.95}, 1),
    ],
)
def test_more_threads_are_taken_where_they_are_clearly_faster(seconds: dict[int, float], fastest: int) -> None:
    assert threads.chosen(seconds) == fastest


def test_measuring_leaves_threads_and_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LARGE", (32, 16))
    monkeypatch.setattr(threads, "SMALL", (2, 16))
    before, state = torch.get_num_threads(), torch.get_rng_state()
    monkeypatch.setattr(threads, "MOST", 2)
    torch.set_num_threads(1)  # what a command chose before
    assert threads.fastest_threads(CPU) in (1, 2)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), state)


def test_several_processes_and_accelerators_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_measured", lambda counts: pytest.fail("was measured"))
    assert threads.fastest_threads(torch.device("cuda")) == threads.MOST
    monkeypatch.setattr(threads, "launched", lambda: True)
    assert threads.fastest_threads(CPU) == threads.MOST
