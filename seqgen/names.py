"""Names that strangers chose, of classes, files and models: how they are checked, shown, and turned into folders.

A name is text for people. It is never a path, and it never reaches a terminal as it is: a terminal would obey the
control codes in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MAX_LENGTH = 1000
MAX_FOLDER_BYTES = 200  # file systems take 255, of which a number may need some

# Control codes, lone surrogates, line separators, and what turns the direction in which text is read.
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_STEERING = re.compile(f"[{_CONTROL}]")
_NO_NAME = re.compile(rf"[{_CONTROL}\t\n/\\]")
_NO_FILE_NAME = re.compile(rf'[{_CONTROL}\t\n/\\<>:"|?*]')
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def shown(text: str) -> str:
    """The text with its control codes spelled out, an escape as four characters; line feeds and tabs stay."""
    return _STEERING.sub(_spelled_out, text)


def on_one_line(name: str) -> str:
    """The same with line feeds and tabs spelled out too: what a file is called must not look like another message."""
    return _STEERING.sub(_spelled_out, name).replace("\n", "\\n").replace("\t", "\\t")


def _spelled_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def fault(name: str) -> str:
    """Why this cannot be the name of anything, in a few words; empty if it can."""
    if not name.strip():
        return "is empty"
    if len(name) > MAX_LENGTH:
        return f"has {len(name):,} characters, more than {MAX_LENGTH:,}"
    if name in (".", "..") or "/" in name or "\\" in name:
        return "is a path"
    return "has a control character" if _NO_NAME.search(name) else ""


def class_name(folder: str) -> str:
    """The class that a folder stands for: its name in NFC; what no name may have is written as `%1B`."""
    return _NO_NAME.sub(_as_in_an_address, unicodedata.normalize("NFC", folder))


def _as_in_an_address(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogateescape"))


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder for each of some names, no two alike on any system, whether or not it tells upper from lower case.

    A name is its own folder where every system can have such a folder. Else it is one like it, with a number where
    another name has that already.
    """
    found = [_portable(name) for name in names]
    given, taken = {_folded(name) for name in names}, set[str]()
    for i in sorted(range(len(names)), key=lambda i: found[i] != names[i]):  # names that are folders come first
        plain, number = found[i], i
        while _folded(found[i]) in taken or (found[i] != plain and _folded(found[i]) in given):
            found[i] = f"{plain}-{number}"
            number += 1
        taken.add(_folded(found[i]))
    return found


def _portable(name: str) -> str:
    """A name that is a folder's on every system, hidden on none."""
    short = _NO_FILE_NAME.sub("_", name).encode(errors="replace")[:MAX_FOLDER_BYTES].decode(errors="ignore")
    folder = short.rstrip(" .")
    return f"_{folder}" if not folder.strip() or folder.startswith(".") or _WINDOWS_DEVICE.match(folder) else folder


def _folded(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
