"""Charts by matplotlib, as the bytes of a file. It is imported here only, and only when a chart is drawn.

What is on a chart is drawn by the functions of the files beside this one, each on a figure that `render` gives it.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["PNG", "SVG", "PDF"]

FORMATS: Mapping[str, Format] = {".png": "PNG", ".svg": "SVG", ".pdf": "PDF"}
"""What a chart can be written as, by the suffix of its file."""

DPI = 100
INK, GREY, GRID = "#0f172a", "#64748b", "#e2e8f0"
MARGIN = 0.2  # inches around everything

# matplotlib brings DejaVu Sans. Characters that it lacks are taken from these, where the computer has them.
FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "PingFang SC", "Arial Unicode MS", "Noto Sans")


@dataclass(frozen=True)
class Chart:
    """A chart as the bytes of a file, and the characters that no font had: boxes stand in their places."""

    content: bytes
    missing: str


def render(draw: Callable[[Figure], None], format: Format, font: Path | None = None) -> Chart:
    """Draw a chart; the same one gives the same bytes.

    Args:
        draw (Callable[[Figure], None]): puts everything on the figure, and settles its size.
        format (Format): of the file.
        font (Path | None): a font file to prefer to the usual ones.

    Raises:
        OSError: the font file cannot be read.
        RuntimeError: it is no font.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports that it searches the computer's fonts
    import matplotlib as mpl
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with mpl.rc_context(_settings(font)), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = Figure(dpi=DPI)
        draw(figure)
        metadata = {"PNG": {}, "SVG": {"Date": None}, "PDF": {"CreationDate": None}}[format]
        figure.savefig(file, format=format.lower(), bbox_inches="tight", pad_inches=MARGIN, metadata=metadata)
    found = (re.match(r"Glyph (\d+) ", str(warning.message)) for warning in caught)
    return Chart(file.getvalue(), "".join(dict.fromkeys(chr(int(match[1])) for match in found if match)))


def _settings(font: Path | None) -> dict[Any, Any]:
    from matplotlib import font_manager

    known = {entry.name for entry in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in FALLBACKS if name in known)]
    if font is not None:
        font_manager.fontManager.addfont(font)
        families.insert(0, font_manager.FontProperties(fname=font).get_name())
    return {
        "font.family": families,
        "text.parse_math": False,  # a dollar sign in a text is a dollar sign
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.unicode_minus": False,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "svg.hashsalt": "seqgen",
    }
