from __future__ import annotations

import numpy as np
import pytest

from seqgen.data.spread import spread


@pytest.mark.parametrize(
    ("count", "most", "wanted"),
    [
        (10, 4, [0, 2, 5, 7]),  # 0, 2.5, 5, 7.5, rounded down
        (10, 1, [0]),
        (3, 3, [0, 1, 2]),
        (3, 100, [0, 1, 2]),
        (0, 5, []),
        (5, 0, []),
    ],
)
def test_positions_are_evenly_spread(count: int, most: int, wanted: list[int]) -> None:
    assert spread(count, most).tolist() == wanted


def test_no_position_comes_twice_and_distances_differ_by_one_at_most() -> None:
    for count, most in ((1_000_003, 5000), (7, 6), (10**12, 1024)):
        distances = np.diff(spread(count, most))
        assert len(distances) == most - 1
        assert distances.min() >= 1
        assert distances.max() - distances.min() <= 1
