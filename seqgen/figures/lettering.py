"""Words in a PNG, whatever fonts the computer has.

Pillow carries one font, and its letters are those of English only. If a text needs others, the fonts that desktops
usually have are tried. Where there are none, as in a container, accents are put together from what is there.
"""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

_FONTS = (
    "DejaVuSans.ttf",
    "Arial.ttf",
    "arial.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
)
# No font has this: it is not a character. What is drawn for it stands for every glyph that is missing.
_NO_CHARACTER = "\uffff"
_STAND_INS = {"ß": "ss", "\u2013": "-", "\u2014": "-"}
# What stands above a letter, by something of the same shape.
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0307": ".",
    "\u0308": "..",
    "\u030a": "°",
    "\u030b": "''",
}


class Lettering:
    """Words in one font and size.

    Args:
        size (int): of the font, in pixels.
        text (str): all that will be written, to choose the font by.
        fonts (tuple[str, ...]): files to look for if Pillow's own font lacks some of it.
    """

    def __init__(self, size: int, text: str, fonts: tuple[str, ...] = _FONTS) -> None:
        self._font = _best_font(size, set(text), fonts)
        self._missing = _missing(self._font, set(text))
        self.line_height = sum(self._font.getmetrics())
        self._gap = max(1, round(size / 12))

    def word(self, text: str) -> Image.Image:
        """A word as a mask, 255 where there is ink, as high as a line."""
        parts = [part for character in text for part in self._parts(character)]
        # All at once, so that letters join where the script wants it.
        word = self._ink("".join(letter for letter, _ in parts))
        before = ""
        for letter, accent in parts:
            if accent:
                x = self._font.getlength(before) + self._font.getlength(letter) / 2
                self._put(word, accent, round(x), _top(self._ink(letter)))
            before += letter
        return word

    def _put(self, word: Image.Image, accent: str, x: int, top: int) -> None:
        """Draw an accent above what begins at a height, its middle at `x`."""
        from PIL import ImageChops

        mark = self._ink(accent)
        _, _, _, bottom = mark.getbbox() or (0, 0, 0, 0)
        layer = word.copy()
        layer.paste(0, (0, 0, *layer.size))
        layer.paste(mark, (x - mark.width // 2, max(top - self._gap - bottom, -_top(mark))))
        word.paste(ImageChops.lighter(word, layer))

    def _ink(self, text: str) -> Image.Image:
        from PIL import Image, ImageDraw

        # The ink of the last letter may reach further than where the next one would begin.
        width = math.ceil(max(1.0, self._font.getlength(text), self._font.getbbox(text)[2]))
        ink = Image.new("L", (width, self.line_height))
        ImageDraw.Draw(ink).text((0, 0), text, fill=255, font=self._font)
        return ink

    def _parts(self, character: str) -> list[tuple[str, str]]:
        """What to draw for a character: letters, and what to put above each."""
        if character not in self._missing:
            return [(character, "")]
        decomposed = unicodedata.normalize("NFKD", character)
        if len(decomposed) > 1 and decomposed[0].isascii():
            return [(decomposed[0], _ACCENTS.get(decomposed[1], ""))]
        return [(letter, "") for letter in _STAND_INS.get(character, character)]


def _top(ink: Image.Image) -> int:
    box = ink.getbbox()
    return box[1] if box else 0


def _best_font(size: int, characters: set[str], files: tuple[str, ...]) -> FreeTypeFont:
    """The font that lacks the fewest of some characters; Pillow's own if no other is better."""
    from PIL import ImageFont

    best = ImageFont.load_default(size)
    assert isinstance(best, ImageFont.FreeTypeFont)
    lacks = len(_missing(best, characters))
    for file in files:
        if not lacks:
            break
        try:
            font = ImageFont.truetype(file, size)
        except OSError:
            continue
        if len(missing := _missing(font, characters)) < lacks:
            best, lacks = font, len(missing)
    return best


def _missing(font: FreeTypeFont, characters: set[str]) -> set[str]:
    nothing = bytes(font.getmask(_NO_CHARACTER))
    return {character for character in characters if bytes(font.getmask(character)) == nothing}
