"""Many small images as one: a picture, an animation, or a sketch for a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image

GAP = 1
# How little a format may lose: WebP and PNG nothing, JPEG what nobody sees.
LOSING_LITTLE: Mapping[str, Mapping[str, Any]] = {
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 95, "subsampling": 0},
}
# From dark to light.
SHADES = " .:-=+*#%@"
# A letter of a terminal is about twice as high as it is wide.
COLUMNS = 14


class _Pixels(Protocol):
    """An array of bytes `(images, channels, height, width)`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: int) -> _Pixels: ...

    def tobytes(self) -> bytes: ...

    def transpose(self, *axes: int) -> _Pixels: ...


def pictures(pixels: _Pixels) -> list[Image.Image]:
    """Each image of an array as a picture: one channel is grey, three are red, green and blue."""
    from PIL import Image

    count, channels, height, width = pixels.shape
    mode = {1: "L", 3: "RGB"}[channels]
    return [Image.frombytes(mode, (width, height), pixels[i].transpose(1, 2, 0).tobytes()) for i in range(count)]


def grid(images: Sequence[Image.Image], rows: int, columns: int) -> Image.Image:
    """Images of one size side by side, row by row, a pixel apart."""
    from PIL import Image

    width, height = images[0].width + GAP, images[0].height + GAP
    whole = Image.new(images[0].mode, (columns * width - GAP, rows * height - GAP), 0)
    for i, image in enumerate(images[: columns * rows]):
        whole.paste(image, (i % columns * width, i // columns * height))
    return whole


def encoded(image: Image.Image, kind: str) -> bytes:
    """A PNG, JPEG or WEBP file."""
    file = io.BytesIO()
    image.save(file, kind, **LOSING_LITTLE.get(kind, {}))
    return file.getvalue()


def animation(frames: Sequence[Image.Image], kind: str, milliseconds: int) -> bytes:
    """A GIF, WEBP or PNG file of frames, repeated for ever; 256 colours are all that a GIF has."""
    file = io.BytesIO()
    first, *others = frames
    moving = {"save_all": True, "append_images": others, "duration": milliseconds, "loop": 0}
    first.save(file, kind, **moving, **LOSING_LITTLE.get(kind, {}))
    return file.getvalue()


def preview(image: Image.Image, columns: int, *, colour: bool) -> str:
    """A picture for a terminal: half blocks in its colours, or letters where there are none."""
    from PIL import Image

    columns = min(columns, image.width)
    rows = max(1, round(columns * image.height / image.width / 2))
    if not colour:
        return "\n".join(_letters(image, columns))
    small = image.convert("RGB").resize((columns, 2 * rows), Image.Resampling.BOX)
    data = small.tobytes()
    points = [tuple(data[i : i + 3]) for i in range(0, len(data), 3)]
    lines = []
    for row in range(rows):
        upper, lower = (points[(2 * row + half) * columns :][:columns] for half in (0, 1))
        cells = (
            f"\x1b[38;2;{';'.join(map(str, above))};48;2;{';'.join(map(str, below))}m\u2580"
            for above, below in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def sketch(pixels: _Pixels) -> str:
    """Images side by side in letters, from a space for black to an at sign for white."""
    drawn = [_letters(picture) for picture in pictures(pixels)]
    return "\n".join(" ".join(row) for row in zip(*drawn, strict=True))


def _letters(picture: Image.Image, columns: int = COLUMNS) -> list[str]:
    from PIL import Image

    rows = max(1, round(columns * picture.height / picture.width / 2))
    small = picture.convert("L").resize((columns, rows), Image.Resampling.BOX)
    levels = [SHADES[value * len(SHADES) // 256] for value in small.tobytes()]
    return ["".join(levels[i * columns : (i + 1) * columns]) for i in range(rows)]
