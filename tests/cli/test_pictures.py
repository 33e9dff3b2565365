"""Every option that names a picture goes by its suffix, or refuses it before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Call, TinyModel

from seqgen.cli.pictures import MOVING, PNG, STILL, SVG, format_of
from seqgen.errors import UsageError


@pytest.mark.parametrize(
    ("name", "formats", "kind"),
    [
        ("a.png", PNG, "PNG"),
        ("a.PNG", PNG, "PNG"),
        ("a", PNG, "PNG"),
        ("-", STILL, "PNG"),
        ("a.b.jpeg", STILL, "JPEG"),
        ("a.svg", SVG, "SVG"),
        ("a.apng", MOVING, "PNG"),
        ("/dev/stdout", STILL, "PNG"),
    ],
)
def test_the_suffix_decides(name: str, formats: dict[str, str], kind: str) -> None:
    assert format_of(Path(name), "--out", formats) == kind


def test_without_a_path_the_first_format_is_taken() -> None:
    assert format_of(None, "--out", STILL) == "PNG"


def test_one_that_cannot_be_written_is_named_with_those_that_can() -> None:
    with pytest.raises(UsageError, match=r"^--out a\.svg ends in \.svg, but this is written as \.png$"):
        format_of(Path("a.svg"), "--out", PNG)
    with pytest.raises(UsageError, match=r"\.gif, \.webp or \.apng$"):
        format_of(Path("a.tiff"), "--out", MOVING)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("plot {lm} --out m.jpg", "--out m.jpg ends in .jpg, but this is written as .png, .svg or .pdf"),
        ("inspect -m {mt} --positions --png a.gif", "--png a.gif ends in .gif, but this is written as .png, .svg or"),
        ("inspect -m {mt} --attention eins --png a.jpg", "--png a.jpg ends in .jpg"),
        ("inspect -m {lm} --gradients {text} --png a.txt", "--png a.txt ends in .txt"),
        ("translate -m {mt} eins --attention-png a.gif", "--attention-png a.gif ends in .gif"),
        ("inspect -m {mt} --attention eins --font a.ttf", "--font has no effect without --png"),
        ("inspect -m {mt} --attention eins --png a.png --font a.ttf", "--font a.ttf cannot be used"),
        ("plot {lm} --out m.png --font {text}", "cannot be used"),
        ("translate -m {mt} eins --beam-svg a.png", "--beam-svg a.png ends in .png, but this is written as .svg"),
    ],
)
def test_every_command_refuses_what_it_would_not_write(
    line: str, option: str, tiny: TinyModel, tiny_translation: TinyModel, call: Call, folder: Path
) -> None:
    done = call(*line.format(lm=tiny.name, mt=tiny_translation.name, text=tiny.data).split())
    assert done.code == 2
    assert option in done.error
    assert done.out == b""
    assert list(folder.iterdir()) == []


WRITTEN = {
    "plot {lm} --out M.PNG": b"\x89PNG",
    "plot {lm} --out m.svg": b"<?xml",
    "inspect -m {lm} --gradients {text} --max-distance 8 --png a.pdf": b"%PDF-",
    "inspect -m {mt} --attention eins --png a.svg": b"<?xml",
    "translate -m {mt} eins --attention-png a.pdf": b"%PDF-",
    "translate -m {mt} eins --beam-svg t.svg": b"<",
}


@pytest.mark.parametrize("line", WRITTEN)
def test_what_they_do_write_is_written(
    line: str, tiny: TinyModel, tiny_translation: TinyModel, call: Call, folder: Path
) -> None:
    assert call(*line.format(lm=tiny.name, mt=tiny_translation.name, text=tiny.data).split()).code == 0
    (written,) = folder.iterdir()
    assert written.read_bytes().startswith(WRITTEN[line])
