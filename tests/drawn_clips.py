"""Clips of a square that moves, in a colour, and what they show: what a few steps of training can put into words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def frames_of(colour: str, way: str, count: int = 4, side: int = 16) -> list[NDArray[np.uint8]]:
    """Frames `(side, side, 3)` of a square of 4 pixels that moves by 3 at a time, on white."""
    frames = []
    for time in range(count):
        row, column = (side // 2 - 2 + round(3 * step * (time - (count - 1) / 2)) for step in WAYS[way])
        frame = np.full((side, side, 3), 255, np.uint8)
        frame[max(0, row) : row + 4, max(0, column) : column + 4] = COLOURS[colour]
        frames.append(frame)
    return frames


def save_clip(path: Path, frames: list[NDArray[np.uint8]], **more: Any) -> None:
    """An animation in the format that the name asks for."""
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others, **{"duration": 100, "loop": 0, **more})


def drawn_clips(folder: Path, *, parts: bool = True) -> Path:
    """A list of twelve clips, each twice, with two captions each; every other one of the second twelve is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, kinds = [], len(COLOURS) * len(WAYS)
    for number in range(2 * kinds):
        colour = list(COLOURS)[number % len(COLOURS)]
        way = list(WAYS)[number // len(COLOURS) % len(WAYS)]
        save_clip(folder / f"{number}.gif", frames_of(colour, way))
        captions = [f"a {colour} square moves {way}", f"{colour} square going {way}"]
        split = {"split": "val" if number >= kinds and number % 2 else "train"} if parts else {}
        entries.append({"file": f"{number}.gif", "captions": captions, **split})
    (folder / "captions.json").write_text(json.dumps(entries))
    return folder / "captions.json"
