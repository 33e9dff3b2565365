"""Lists of clips with their captions: JSON, JSON lines, or a table.

The first character decides what a list is, not the name of its file:

    JSON list    objects that each name a file and its caption, or captions: `{"file": ..., "captions": [...]}`.
    JSON object  from the file to its captions; or `images` and `annotations`, as COCO writes them (or `videos`).
    otherwise    a table of files and captions, or JSON lines of objects (`seqgen.data.tables`).

A file may come several times, each time with another caption. Names of files are looked up beside the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgen.data.normalization import normalize
from seqgen.data.pair_files import ENDINGS
from seqgen.data.sides import CLIPS, Keys
from seqgen.data.tables import read_table
from seqgen.data.text import read_lines, read_text, shown_name
from seqgen.errors import DataError
from seqgen.wording import counted

NAMES = ("captions.json", "captions.jsonl", "captions.tsv", "captions.csv")
FILE_KEYS = ("file", "clip", "video", "image", "path", "file_name", "filename")
CAPTION_KEYS = ("captions", "caption", "sentences", "sentence", "text")
SPLITS = {"train": "train", "training": "train", "test": "test", "": ""} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "eval"), "valid"
)
MOST_JSON_BYTES = 2**28
LONGEST = 2000
KEYS_SHOWN = 8

Entry = tuple[str, str, tuple[str, ...], str]
"""Where it stands, the file, its captions, and its part as the list names it."""


@dataclass(frozen=True)
class Captioned:
    """A clip and its captions.

    Args:
        place (str): where it stands in the list, for messages.
        file (Path): where the clip is.
        captions (tuple[str, ...]): normalised, none twice, at least one.
        split (str): `train` or `valid`; empty if the list does not say.
    """

    place: str
    file: Path
    captions: tuple[str, ...]
    split: str


def read_captions(
    path: str,
    name: str = "",
    warn: Callable[[str], None] = lambda message: None,
    *,
    keys: tuple[str, str] = ("", ""),
    beside: Path | None = None,
) -> list[Captioned]:
    """The clips of a list, in the order in which their files come first.

    Args:
        path (str): a file, a folder that holds one list of a usual name, or `-`, standard input.
        name (str): what errors call it; empty for the path.
        warn (Callable[[str], None]): told what was left out.
        keys (tuple[str, str]): the keys or columns of files and of captions; empty for the usual ones.
        beside (Path | None): the folder that names of files are looked up in; None for that of the list, of standard
            input the current one.

    Raises:
        DataError: it cannot be read, an entry is not one, or no clip has a caption.
    """
    if path != "-" and Path(path).is_dir():
        path, name = _in_folder(Path(path)), ""
    elif path != "-" and not Path(path).exists():
        raise DataError(f"{name or path}: no such file or folder")
    name = name or shown_name(path)
    if beside is None:
        beside = Path() if path == "-" else Path(path).parent
    captions, splits, places = dict[Path, dict[str, None]](), dict[Path, str](), dict[Path, str]()
    tests = 0
    for place, file, texts, part in _entries(path, name, keys):
        split = _split(part, place)
        if split == "test":
            tests += 1
            continue
        where = beside / file
        if splits.setdefault(where, split) != split:
            raise DataError(f"{place}: {file} is in another part than at {places[where]}")
        places.setdefault(where, place)
        captions.setdefault(where, {}).update(dict.fromkeys(filter(None, (_normal(text, place) for text in texts))))
    if tests:
        warn(f"{name}: {counted(tests, 'clip')} of the test part left out")
    if bare := sum(not own for own in captions.values()):
        warn(f"{name}: {counted(bare, 'clip')} without a caption passed over")
    found = [Captioned(places[file], file, tuple(own), splits[file]) for file, own in captions.items() if own]
    if not found:
        raise DataError(f"{name}: no clip with a caption", hint='such as [{"file": "a.gif", "captions": ["a dog"]}]')
    return found


def _in_folder(folder: Path) -> str:
    found = [name for name in NAMES if (folder / name).is_file()]
    if len(found) != 1:
        what = f"{' and '.join(found)}: name one" if found else f"none of {', '.join(NAMES)} in it"
        raise DataError(f"{folder}: {what}")
    return str(folder / found[0])


def _split(part: str, place: str) -> str:
    if (split := SPLITS.get(part.strip().lower())) is None:
        raise DataError(f"{place}: the part {part[:40]!r} is none of train, valid and test")
    return split


def _normal(text: str, place: str) -> str:
    if len(text) > LONGEST:
        raise DataError(f"{place}: a caption of {len(text):,} characters, more than {LONGEST:,}")
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise DataError(f"{place}: a caption holds a NUL character or half a surrogate pair")
    return normalize(text, "sentences")


# Formats ------------------------------------------------------------------------------------------------------


def _entries(path: str, name: str, keys: tuple[str, str]) -> Iterator[Entry]:
    lines = read_lines(read_text(path, name))
    skipped = []
    for first in lines:
        skipped.append(first)
        if first.strip():
            break
    else:
        raise DataError(f"{name} is empty")
    rest = (line for part in (skipped, lines) for line in part)
    begin = skipped[-1].lstrip()
    if begin.startswith("[") or (begin.startswith("{") and _object_goes_on(begin, keys[0])):
        yield from _json(rest, name, keys)
    elif begin.startswith("{"):
        yield from _json_lines(rest, name, keys)
    else:
        otherwise = ENDINGS.get(Path(name).suffix.lower(), "tabs")
        for number, (file, caption) in read_table(rest, name, Keys(*keys, CLIPS), otherwise):
            if file.strip():
                yield f"{name}, line {number}", file.strip(), (caption,), ""
            elif caption.strip():
                raise DataError(f"{name}, line {number}: a caption without a file")


def _object_goes_on(line: str, file_key: str) -> bool:
    """Whether a line that begins with a brace is the beginning of one object, not an object of its own."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return True
    if any(key in data for key in (*FILE_KEYS, file_key)):
        return False
    return any(isinstance(value, list) or "." in key for key, value in data.items())


def _json_lines(lines: Iterable[str], name: str, keys: tuple[str, str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{name}, line {number}"
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(f"{place}: not a JSON object") from None
            yield _entry(data, place, keys)


def _json(lines: Iterable[str], name: str, keys: tuple[str, str]) -> Iterator[Entry]:
    pieces, size = [], 0
    for line in lines:
        pieces.append(line)
        if (size := size + len(line)) > MOST_JSON_BYTES:
            raise DataError(f"{name}: JSON of more than {MOST_JSON_BYTES >> 20} MiB", hint="write it as JSON lines")
    try:
        data = json.loads("".join(pieces))
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {error.lineno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        raise DataError(f"{name}: not JSON that can be read") from None
    if isinstance(data, list):
        for number, item in enumerate(data, 1):
            yield _entry(item, f"{name}, entry {number}", keys)
    elif isinstance(data.get("annotations"), list):
        yield from _coco(data, name)
    else:
        for file, texts in data.items():
            yield f"{name}, {file!r}", file, _texts(texts, f"{name}, {file!r}"), ""


def _coco(data: Mapping[str, Any], name: str) -> Iterator[Entry]:
    """COCO: captions name an image or a video by its id."""
    kind = "video" if "videos" in data else "image"
    files: dict[Any, tuple[str, str]] = {}
    for number, item in enumerate(_list(data.get(f"{kind}s"), f"{name}, {kind}s"), 1):
        place = f"{name}, {kind} {number}"
        file = _text(_value(item, ("file_name", "video", "file", "video_id"), place), place)
        files[item.get("id", item.get(f"{kind}_id"))] = file, _text(item.get("split", ""), place)
    for number, item in enumerate(data["annotations"], 1):
        place = f"{name}, annotation {number}"
        owner = _value(item, (f"{kind}_id",), place)
        if isinstance(owner, dict | list) or owner not in files:
            raise DataError(f"{place}: no {kind} has the id {str(owner)[:40]!r}")
        file, split = files[owner]
        yield place, file, _texts(_value(item, CAPTION_KEYS, place), place), split


def _entry(item: object, place: str, keys: tuple[str, str]) -> Entry:
    file = _text(_value(item, (keys[0],) if keys[0] else FILE_KEYS, place), place)
    texts = _texts(_value(item, (keys[1],) if keys[1] else CAPTION_KEYS, place), place)
    assert isinstance(item, dict)
    if not file.strip():
        raise DataError(f"{place}: a caption without a file")
    return place, file, texts, _text(item.get("split", ""), place)


def _value(item: object, names: tuple[str, ...], place: str) -> Any:
    """What an object has under the first of some keys that is there."""
    if not isinstance(item, dict):
        raise DataError(f"{place}: not an object", hint='such as {"file": "a.gif", "captions": ["a dog"]}')
    for name in names:
        if name in item:
            return item[name]
    known = ", ".join(repr(key[:40]) for key in list(item)[:KEYS_SHOWN])
    raise DataError(
        f"{place}: no key {' or '.join(names)}; the keys are {known or 'none'}",
        hint="say which: --file-key, --caption-key",
    )


def _list(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{place}: not a list")
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {str(value)[:40]!r} is not a text")
    return value


def _texts(value: object, place: str) -> tuple[str, ...]:
    """One caption, or a list of them."""
    return tuple(_text(text, place) for text in value) if isinstance(value, list) else (_text(value, place),)
