"""Matrices in a terminal: attention maps and positions as five shades of characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from seqgen.figures.labels import cells, cut, visible
from seqgen.figures.maps import Maps, captions_of, largest_of

_SHADES = " ░▒▓█"
_LONGEST_NAME = 12
_BETWEEN = "  "
_MOST_ROWS = 32


def attention_maps_text(kinds: Sequence[Maps], width: int) -> str:
    """Maps of each kind below those of the one before, a layer's heads side by side.

    Args:
        kinds (Sequence[Maps]): at least one.
        width (int): of the terminal, in characters; maps that are wider are broken by it.
    """
    return "\n".join("".join(f"{line.rstrip()}\n" for line in _grid(maps, width)) for maps in kinds)


def _grid(maps: Maps, width: int) -> Iterator[str]:
    layers = maps.weights.tolist()
    largest = largest_of(layers)
    names = [cut(visible(name), _LONGEST_NAME) for name in maps.rows]
    margin = max(map(cells, names), default=0) + 1
    wide = max(2 * len(maps.columns), max(map(len, captions_of(layers)[-1])))
    together = max(1, (width - margin) // (wide + len(_BETWEEN)))
    yield maps.kind
    yield f"{maps.legend} · {_key(0.0, largest)}"
    for layer, captions in zip(layers, captions_of(layers), strict=True):
        for first in range(0, len(layer), together):
            heads, titles = layer[first : first + together], captions[first : first + together]
            if layer is layers[0] and first == 0:
                rest = " " * (wide - 2 * len(maps.columns))
                yield from (" " * margin + _BETWEEN.join([line + rest] * len(heads)) for line in _upright(maps.columns))
            if any(titles):
                yield " " * margin + _BETWEEN.join(title.ljust(wide) for title in titles)
            for i, name in enumerate(names):
                shades = (_shaded(head[i], 0.0, largest, 2).ljust(wide) for head in heads)
                yield " " * (margin - 1 - cells(name)) + name + " " + _BETWEEN.join(shades)


def _upright(names: Sequence[str]) -> Iterator[str]:
    """Names that are read downwards, each two characters wide and ending above its column."""
    shown = [cut(visible(name), _LONGEST_NAME) for name in names]
    longest = max(map(len, shown), default=0)
    for letters in zip(*(name.rjust(longest) for name in shown), strict=True):
        yield "".join(letter + " " * (2 - cells(letter)) for letter in letters)


def position_matrix_text(values: Sequence[Sequence[float]], legend: str, width: int) -> str:
    """A matrix of positions; of many rows or columns only every second, third, ... is shown.

    Args:
        values (Sequence[Sequence[float]]): `(positions, values)`.
        legend (str): what rows and columns are.
        width (int): of the terminal, in characters.
    """
    largest = max(abs(value) for row in values for value in row)
    margin = len(str(len(values))) + 1
    down, across = math.ceil(len(values) / _MOST_ROWS), math.ceil(len(values[0]) / max(1, width - margin))
    lines = [f"{legend} · {_key(-largest, largest)}"]
    if down > 1 or across > 1:
        lines.append(f"shown: one row of {down}, one column of {across}")
    for place in range(0, len(values), down):
        lines.append(f"{place:{margin - 1}} {_shaded(values[place][::across], -largest, largest, 1)}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def _shaded(row: Sequence[float], least: float, largest: float, wide: int) -> str:
    span = (largest - least) or 1.0
    levels = (min(int((value - least) / span * len(_SHADES)), len(_SHADES) - 1) for value in row)
    return "".join(_SHADES[level] * wide for level in levels)


def _key(least: float, largest: float) -> str:
    """From which value on a shade is used."""
    span = largest - least
    return " ".join(f"{shade} {least + span * i / len(_SHADES):.2f}" for i, shade in enumerate(_SHADES) if i)
