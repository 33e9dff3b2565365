from __future__ import annotations

import pytest

from seqgen.tasks.how_long import HowLong


@pytest.mark.parametrize(
    ("total", "said"),
    [
        # 100 of the work a second; told after a second, when 100 are done.
        (500, []),
        (1000, ["about 9 seconds more; Ctrl-C stops, and --resume finishes it later"]),
        (100_000, ["about 17 minutes more; Ctrl-C stops, and --resume finishes it later"]),
    ],
)
def test_the_rest_is_told_once_if_it_is_long(total: int, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, notes = [0.0], list[str]()
    monkeypatch.setattr("seqgen.tasks.how_long.time.perf_counter", lambda: clock[0])
    tell = HowLong(notes.append, total)
    for _ in range(6):
        clock[0] += 0.5
        tell(50)
        assert notes == [] or clock[0] >= 1.0
    assert notes == said
