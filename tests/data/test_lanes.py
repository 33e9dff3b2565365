from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from seqgen.data.corpus import TokenSpan
from seqgen.data.lanes import Lanes

BOM = b"\xef\xbb\xbf"


def counting_span(folder: Path, length: int) -> TokenSpan:
    """A span in which each token is its own place."""
    path = folder / "tokens.bin"
    np.arange(length, dtype=np.uint16).tofile(path)
    return TokenSpan(path, "uint16", 0, length)


@pytest.mark.parametrize(
    ("length", "num_lanes", "chunk"), [(103, 5, 4), (64, 8, 8), (97, 7, 13), (50, 1, 8), (33, 2, 16)]
)
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_in_an_epoch_every_token_is_a_target_once_save_a_few(
    tmp_path: Path, length: int, num_lanes: int, chunk: int, epoch: int
) -> None:
    lanes = Lanes(counting_span(tmp_path, length), num_lanes, chunk, seed=3)
    steps = range(epoch * lanes.steps_per_epoch, (epoch + 1) * lanes.steps_per_epoch)
    seen = Counter(token for step in steps for token in lanes.read(step)[1].flatten().tolist())
    assert max(seen.values()) == 1
    assert length - len(seen) < max(2, lanes.num_lanes)
    assert lanes.num_lanes == num_lanes


def test_targets_are_the_inputs_one_token_later(tmp_path: Path) -> None:
    length = 103
    lanes = Lanes(counting_span(tmp_path, length), 5, 4, seed=0)
    for step in range(2 * lanes.steps_per_epoch):
        inputs, targets, _ = lanes.read(step)
        assert torch.equal(targets, (inputs + 1) % length)


def test_a_lane_goes_on_where_its_last_chunk_ended(tmp_path: Path) -> None:
    lanes = Lanes(counting_span(tmp_path, 103), 5, 4, seed=0)
    for step in range(1, lanes.steps_per_epoch):
        before, after = lanes.read(step - 1)[1], lanes.read(step)[0]
        assert torch.equal(before[:, -1], after[:, 0])


def test_only_the_first_step_of_an_epoch_begins_one(tmp_path: Path) -> None:
    lanes = Lanes(counting_span(tmp_path, 103), 5, 4, seed=0)
    # 103 // 5 = 20 tokens a lane, 5 chunks of 4.
    assert lanes.steps_per_epoch == 5
    assert [lanes.read(step)[2] for step in range(11)] == [step % 5 == 0 for step in range(11)]


def test_the_last_chunk_of_an_epoch_may_be_shorter(tmp_path: Path) -> None:
    lanes = Lanes(counting_span(tmp_path, 55), 5, 4, seed=0)
    # 11 tokens a lane: 4 + 4 + 3.
    assert [lanes.read(step)[0].shape for step in range(3)] == [(5, 4), (5, 4), (5, 3)]


def test_the_order_is_a_function_of_seed_and_epoch_alone(tmp_path: Path) -> None:
    span = counting_span(tmp_path, 1003)
    one, other = Lanes(span, 5, 4, seed=1), Lanes(span, 5, 4, seed=1)
    steps = [0, 7, 3 * one.steps_per_epoch + 2]
    for step in reversed(steps):
        one.read(step)
    assert all(torch.equal(one.read(step)[0], other.read(step)[0]) for step in steps)


def test_each_seed_and_each_epoch_starts_at_another_place(tmp_path: Path) -> None:
    span = counting_span(tmp_path, 1003)
    lanes = Lanes(span, 5, 4, seed=1)
    starts = {int(lanes.read(epoch * lanes.steps_per_epoch)[0][0, 0]) for epoch in range(6)}
    starts |= {int(Lanes(span, 5, 4, seed=seed).read(0)[0][0, 0]) for seed in range(2, 8)}
    assert len(starts) == 12


@pytest.mark.parametrize(("length", "expected"), [(100, 8), (64, 8), (63, 7), (16, 2), (9, 1), (8, 1), (2, 1)])
def test_a_short_text_fills_fewer_lanes(tmp_path: Path, length: int, expected: int) -> None:
    lanes = Lanes(counting_span(tmp_path, length), 8, 8, seed=0)
    assert lanes.num_lanes == expected


def test_two_tokens_are_enough_for_one_prediction(tmp_path: Path) -> None:
    lanes = Lanes(counting_span(tmp_path, 2), 8, 8, seed=0)
    assert lanes.steps_per_epoch == 1
    inputs, targets, first = lanes.read(5)
    assert (inputs.tolist(), targets.tolist(), first) == ([[0]], [[1]], True)
