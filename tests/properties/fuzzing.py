"""What the fuzz tests share: how valid inputs are damaged, and what counts as a fault.

Whatever a parser is given, it succeeds or raises an error of seqgen, soon, within a bounded amount of memory, and
writes nothing but what it was asked to write. There are two profiles. By default each parser meets the same few hundred
cases in every run; `SEQGEN_FUZZ=10000 pytest tests/properties --hypothesis-seed=1 -k fuzz` gives each 10,000 random
ones.
"""

from __future__ import annotations

import copy
import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from seqgen.errors import SeqgenError

CASES = int(os.environ.get("SEQGEN_FUZZ") or 0)
SECONDS = 20
MEBIBYTES = 1024
"""How much more memory a case may take at its peak: an image of the most pixels allowed takes a few copies of 256."""

fuzz = settings(
    max_examples=CASES or 300,
    derandomize=not CASES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Damage -------------------------------------------------------------------------------------------------------

TEXT_BYTES = [
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b'"',
    b",",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xcc\x88",
    b"\xed\xa0\x80",
    b"../",
]
NUMBER_BYTES = [
    b"\xff",
    b"\x01",
    b"\0\0\0\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\0\x80",
]
JSON_BYTES = [b"{", b"[" * 3000, b"9" * 400, b"-1", b"1e999", b"NaN", b"\\", b"\x1b[2J", b"a" * 5000]
BYTES = st.sampled_from([*TEXT_BYTES, *NUMBER_BYTES, *JSON_BYTES])


@st.composite
def damaged(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """A valid content with up to six places overwritten, taken out, put in, doubled or cut off; or mere bytes."""
    content = bytearray(draw(st.sampled_from(valid))) if draw(st.integers(0, 9)) else bytearray(draw(st.binary()))
    for _ in range(draw(st.integers(0, 6))):
        # Headers are short and decide most, so half of the places are near the beginning.
        near = draw(st.integers(0, min(64, len(content))))
        begin = near if draw(st.booleans()) else draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["flip", "overwrite", "insert", "delete", "double", "truncate"])):
            case "flip" if begin < len(content):
                content[begin] ^= 1 << draw(st.integers(0, 7))
            case "overwrite":
                put = draw(BYTES)
                content[begin : begin + len(put)] = put
            case "insert":
                content[begin:begin] = draw(BYTES)
            case "delete":
                del content[begin:end]
            case "double":
                content[begin:begin] = content[begin:end] * draw(st.integers(1, 50))
            case "truncate":
                del content[begin:]
    return bytes(content)


ODD_NUMBERS = [
    0,
    1,
    -1,
    2,
    7,
    255,
    256,
    65_536,
    2**31,
    2**63,
    2**200,
    0.5,
    -0.0,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
]
ODD_NAMES = [
    "",
    "x",
    " ",
    "all",
    "0",
    "../../x",
    "/x",
    "a/b",
    "a\\b",
    "..",
    ".",
    "con",
    "\x1b[2J",
    "\0",
    "\n",
    "\ud800",
    "\u202e",
]
ODD_SHAPES: list[Any] = [None, True, False, "a" * 5000, [], [[]], {}, [0], [1, 2, 3], ["a", "a"], {"a": 1}]
ODD_VALUES = st.sampled_from([*ODD_NUMBERS, *ODD_NAMES, *ODD_SHAPES])


@st.composite
def altered(draw: st.DrawFn, valid: Any) -> Any:
    """A JSON value with up to three places replaced, taken out or added to."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        parents = [node for node in _nodes(value) if node]
        if not parents:
            break
        parent = draw(st.sampled_from(parents))
        key = draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                parent[key] = copy.deepcopy(draw(ODD_VALUES))
            case "remove":
                del parent[key]
            case "add" if isinstance(parent, dict):
                parent[draw(st.sampled_from(["x", "", "task", "classes", f"{key}_"]))] = copy.deepcopy(draw(ODD_VALUES))
            case "add":
                parent.append(copy.deepcopy(draw(ODD_VALUES)))
    return value


def _nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _nodes(child)


# Faults -------------------------------------------------------------------------------------------------------


class Hang(AssertionError):
    """A case took longer than any should."""


@contextmanager
def survives() -> Iterator[None]:
    """Success, or an error of seqgen with a message that a terminal can show; in time, and within memory.

    Raises:
        AssertionError: the memory or the message is not within bounds.
        Hang: the time is not.
    """
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(SECONDS)
    start = _reset_peak()
    try:
        yield
    except SeqgenError as error:
        for said in (error.message, error.hint):
            assert all(c.isprintable() or c == "\n" for c in said), repr(said)
            assert len(said) < 4000, said[:200]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    taken = (_status("VmHWM") - start) >> 10
    assert taken < MEBIBYTES, f"{taken} MiB taken"


def _hang(*_: int | FrameType | None) -> NoReturn:
    raise Hang(f"more than {SECONDS} s")


def _reset_peak() -> int:
    """Set the peak of resident memory back to what is resident now, which is returned in KiB; 0 where not on Linux."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _status("VmRSS")


def _status(name: str) -> int:
    try:
        found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


@contextmanager
def only_below(folder: Path, *kept: str) -> Iterator[None]:
    """What runs inside writes nothing into `folder`, the entries named aside."""
    before = set(os.listdir(folder))
    yield
    assert set(os.listdir(folder)) <= before | set(kept)
