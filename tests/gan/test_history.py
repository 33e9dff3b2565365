"""Older fakes for the discriminator: how many, which, and what comes back after a pause."""

from __future__ import annotations

import torch

from seqgen.gan.history import History, to_bytes


def fakes(*values: int) -> torch.Tensor:
    """Images of one grey value each, exact as bytes."""
    return torch.tensor(values).float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 127.5 - 1.0


def values(shown: torch.Tensor) -> list[int]:
    return to_bytes(shown)[:, 0, 0, 0].tolist()


def test_new_fakes_are_shown_until_it_is_full() -> None:
    history = History(5)
    assert values(history.exchange(fakes(1, 2, 3))) == [1, 2, 3]
    assert values(history.exchange(fakes(4, 5))) == [4, 5]
    assert values(history.state()[:, :, :1, :1].float() / 127.5 - 1.0) == [1, 2, 3, 4, 5]


def test_then_half_of_them_take_the_place_of_older_ones() -> None:
    history = History(50)
    history.exchange(fakes(*range(50)))
    torch.manual_seed(0)
    new = list(range(100, 200))
    shown = values(torch.cat([history.exchange(fakes(value)) for value in new]))
    old = [value for value in shown if value not in new]
    assert 20 < len(old) < 70
    kept = history.state()[:, 0, 0, 0].tolist()
    assert len(kept) == 50
    assert sorted(kept + shown) == sorted(list(range(50)) + new)  # nothing is lost, nothing comes twice


def test_what_is_drawn_is_a_function_of_the_seed_and_of_what_is_kept() -> None:
    one = History(8)
    for step in range(20):
        torch.manual_seed(step)
        one.exchange(fakes(3 * step, 3 * step + 1, 3 * step + 2))
    other = History(8)
    other.load_state(one.state())
    for history in (one, other):
        torch.manual_seed(99)
        history.exchange(fakes(200, 201, 202))
    assert torch.equal(one.state(), other.state())
    assert one.state().dtype == torch.uint8


def test_without_a_history_the_new_ones_are_shown_and_nothing_is_kept() -> None:
    history, new = History(0), fakes(1, 2).requires_grad_()
    shown = history.exchange(new)
    assert torch.equal(shown, new)
    assert not shown.requires_grad
    assert len(history.state()) == 0
    history.load_state(history.state())
    assert len(history.state()) == 0


def test_what_it_keeps_is_not_what_others_change() -> None:
    history = History(2)
    history.exchange(fakes(7, 8))
    before = history.state().clone()
    other = History(2)
    other.load_state(history.state())
    torch.manual_seed(0)
    for _ in range(10):
        other.exchange(fakes(9, 10))
    assert torch.equal(history.state(), before)
