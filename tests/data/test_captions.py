"""Lists of clips with captions in all the forms in which people have them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from seqgen.data.captions import read_captions
from seqgen.errors import DataError

ROWS = [("a.gif", ["a dog", "brown dog"], "train"), ("b/c.gif", ["a cat"], "valid")]
OBJECTS: list[dict[str, Any]] = [
    {"file": "a.gif", "captions": ["a dog", "brown  dog"], "split": "train"},
    {"file": "b/c.gif", "caption": "a cat", "split": "val"},
]
COCO = {
    "images": [{"id": 7, "file_name": "a.gif"}, {"id": 9, "file_name": "b/c.gif"}],
    "annotations": [
        {"image_id": 7, "caption": "a dog"},
        {"image_id": 9, "caption": "a cat"},
        {"image_id": 7, "caption": "brown dog"},
    ],
}
TABLE = "a.gif\ta dog\nb/c.gif\ta cat\na.gif\tbrown dog\n"


def found(path: Path, content: str | bytes, **more: Any) -> list[tuple[str, list[str], str]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    told = read_captions(str(path), **more)
    return [(str(entry.file.relative_to(path.parent)), list(entry.captions), entry.split) for entry in told]


@pytest.mark.parametrize(
    ("content", "split"),
    [
        (json.dumps(OBJECTS), True),
        (json.dumps(OBJECTS, indent=2), True),
        ("\n".join(map(json.dumps, OBJECTS)), True),
        ("\n\n" + "\r\n".join(map(json.dumps, OBJECTS)) + "\r\n", True),
        (json.dumps({"a.gif": ["a dog", "brown dog"], "b/c.gif": "a cat"}), False),
        (json.dumps({"a.gif": ["a dog", "brown dog"], "b/c.gif": "a cat"}, indent=1), False),
        (json.dumps(COCO), False),
        (json.dumps({"videos": COCO["images"], "annotations": [
            {"video_id": a["image_id"], "caption": a["caption"]} for a in COCO["annotations"]
        ]}), False),
        (TABLE, False),
        ("file\tcaption\n" + TABLE, False),
        ("\ufeffcaption,file\na dog,a.gif\na cat,b/c.gif\n\"brown\ndog\",a.gif\n", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["list", "captions.json", "x.tsv"])
def test_a_list_whatever_its_form(content: str, split: bool, name: str, tmp_path: Path) -> None:
    rows = [(file, texts, part if split else "") for file, texts, part in ROWS]
    assert found(tmp_path / name, content) == rows


def test_keys_of_other_names(tmp_path: Path) -> None:
    keys = ("clip", "what")
    assert found(tmp_path / "x", '{"clip": "a", "what": ["b"]}\n', keys=keys) == [("a", ["b"], "")]
    assert found(tmp_path / "x", "id,clip,what\n1,a,b\n", keys=keys) == [("a", ["b"], "")]


def test_a_folder_holds_one_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of captions\.json"):
        read_captions(str(tmp_path))
    (tmp_path / "captions.tsv").write_text(TABLE)
    assert len(read_captions(str(tmp_path))) == 2
    (tmp_path / "captions.json").write_text("[]")
    with pytest.raises(DataError, match="name one"):
        read_captions(str(tmp_path))


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    rows = [{"file": "a", "text": "x", "split": "TEST"}, {"file": "b", "text": " "}, {"file": "c", "text": "y"}]
    assert found(tmp_path / "x", json.dumps(rows), warn=told.append) == [("c", ["y"], "")]
    assert [message.partition(": ")[2] for message in told] == [
        "1 clip of the test part left out",
        "1 clip without a caption passed over",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("[]", "no clip with a caption"),
        ("[", "not JSON"),
        ("[1]", "entry 1: not an object"),
        ("[" * 100_000, "not JSON"),
        ('[{"file": "a"}]', r"entry 1: no key captions or .*; the keys are 'file'"),
        ('[{"caption": "a"}]', r"no key file or"),
        ('[{"file": "", "caption": "a"}]', "a caption without a file"),
        ('[{"file": 3, "caption": "a"}]', "'3' is not a text"),
        ('[{"file": "a", "caption": ["b", 4]}]', "'4' is not a text"),
        ('[{"file": "a", "caption": "b", "split": "half"}]', "the part 'half'"),
        ('[{"file": "a", "caption": "b", "split": "val"}, {"file": "a", "caption": "c"}]', "in another part than"),
        ('{"file": "a", "caption": "b"}\n{"file": ', "line 2: not a JSON object"),
        ('{"images": [], "annotations": [{"image_id": 1, "caption": "a"}]}', "no image has the id '1'"),
        ('{"images": 1, "annotations": [{"image_id": 1, "caption": "a"}]}', "not a list"),
        ("a.gif\n", "0 tabs"),
        ("\ta dog\nb\tc\n", "line 1: a caption without a file"),
        (json.dumps([{"file": "a", "caption": "b" * 2001}]), "2,001 characters"),
        (r'[{"file": "a", "caption": "\ud800"}]', "surrogate"),
        (b"a.gif\ta d\xffog\n", "line 1: not UTF-8"),
        (b"GIF89a\0\0", "NUL"),
    ],
)
def test_what_is_no_list_is_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        found(tmp_path / "list", content)


def test_there_is_no_such_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_captions(str(tmp_path / "none.json"))


@pytest.mark.skipif("SEQGEN_TEST_DATA" not in os.environ, reason="needs the data of SEQGEN_TEST_DATA")
def test_drawn_clips_of_real_data() -> None:
    entries = read_captions(os.environ["SEQGEN_TEST_DATA"] + "/emoji_clips")
    assert (len(entries), sum(entry.split == "valid" for entry in entries)) == (903, 80)
    assert entries[3].captions == ("water wave", "ocean")
    assert all(entry.file.is_file() for entry in entries)
