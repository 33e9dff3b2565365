"""Small images, and folders and archives that hold them, for the tests of image files."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from seqgen.data.image_folders import ImageFile, in_folder, in_tar, in_zip

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (9, 99, 199))


def picture(mode: str = "RGB", height: int = 2, width: int = 3) -> Image.Image:
    """Six unlike pixels, or a plain image of another size."""
    image = Image.new("RGB", (width, height), COLOURS[5])
    if (height, width) == (2, 3):
        image.putdata(COLOURS)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PNG = encoded(picture())


def folder(root: Path, files: dict[str, bytes]) -> Callable[[], Iterator[ImageFile]]:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    root.mkdir(exist_ok=True)
    return partial(in_folder, str(root))


def zipped(root: Path, files: dict[str, bytes]) -> Callable[[], Iterator[ImageFile]]:
    with zipfile.ZipFile(root.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return partial(in_zip, str(root.with_suffix(".zip")))


def tarred(root: Path, files: dict[str, bytes], mode: str = "w:gz") -> Callable[[], Iterator[ImageFile]]:
    with tarfile.open(root.with_suffix(".tar"), mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return partial(in_tar, str(root.with_suffix(".tar")))


HOLDERS = [folder, zipped, tarred]
