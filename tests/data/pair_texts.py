"""Text files of sentence pairs."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, content: bytes | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def two_files(folder: Path, pairs: list[tuple[str, str]], name: str = "train") -> tuple[str, ...]:
    return tuple(
        write(folder / f"{name}.{ending}", "".join(f"{pair[side]}\n" for pair in pairs))
        for side, ending in enumerate(("de", "en"))
    )
