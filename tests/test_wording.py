from __future__ import annotations

from seqgen.wording import counted


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(n, "file") for n in (0, 1, 2, 2000)] == ["0 files", "1 file", "2 files", "2,000 files"]
