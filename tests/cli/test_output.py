"""What a person reads has control codes spelled out, whoever chose the words; what a program reads is byte for byte."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from running import Call, TinyModel, command, environment, stderr_on_terminal

from seqgen.cli import streams
from seqgen.modeldir.layout import manifest

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def changed(model: TinyModel, path: Path, **files: str) -> Path:
    """A copy of a model with other files in it, and a manifest that vouches for them."""
    shutil.copytree(model.path, path, ignore=shutil.ignore_patterns("checkpoints", "data"))
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content, encoding="utf-8")
    whole = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "MANIFEST.json"}
    (path / "MANIFEST.json").write_bytes(manifest(whole))
    return path


def harmless(shown: bytes) -> bool:
    text = shown.decode()
    return all(character in "\n\t\r" or not (character < " " or "\x7f" <= character < "\xa0") for character in text)


def test_a_card_is_shown_without_its_control_codes(tiny: TinyModel, call: Call, folder: Path) -> None:
    changed(tiny, folder / "models" / "m", README__md=f"# card\n\nwords{EVIL}\n")
    done = call("models", "m")
    assert done.text == "# card\n\nwords\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\n"


def test_a_directory_cannot_rewrite_the_list(tiny: TinyModel, call: Call, folder: Path) -> None:
    changed(tiny, folder / "models" / f"a{EVIL}\nb")
    done = call("models")
    assert harmless(done.out)
    assert "a\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\nb" in done.text.splitlines()[0]
    assert harmless(call("models", "--json").out)
    assert json.loads(call("models", "--json").text.splitlines()[0])["name"] == f"a{EVIL}\nb"


@pytest.mark.parametrize("words", [["inspect"], ["sample", "--length", "3", "-v"], ["plot", "--measure", "nothing"]])
def test_a_directory_with_such_a_name_is_named_harmlessly(
    words: list[str], tiny: TinyModel, call: Call, folder: Path
) -> None:
    path = str(changed(tiny, folder / f"a{EVIL}"))
    done = call(*words, *([path] if "plot" in words else ["-m", path]))
    assert harmless(done.err.encode())
    assert harmless(done.out)
    assert "a\\x1b]0" in done.err + done.text


@pytest.mark.parametrize("field", ["task", "architecture"])
@pytest.mark.parametrize("value", [EVIL, "", "x" * 5000])
def test_a_config_with_such_words_is_refused(field: str, value: str, tiny: TinyModel, call: Call, folder: Path) -> None:
    config = json.loads((tiny.path / "config.json").read_bytes())
    path = str(changed(tiny, folder / "m", config__json=json.dumps(config | {field: value})))
    done = call("inspect", "-m", path)
    assert done.code == 2
    assert f"config.json: {field} " in done.error
    assert harmless(done.err.encode())
    assert len(done.error) < 400


def test_json_has_no_control_codes_and_the_same_text(call: Call, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    streams.write_json({"text": f"{EVIL}é"})
    streams.flush()
    line = capfdbinary.readouterr().out
    assert harmless(line)
    assert json.loads(line) == {"text": f"{EVIL}é"}


def test_a_result_is_spelled_out_on_a_terminal_only(tmp_path: Path) -> None:
    import pty
    import subprocess

    code = f"from seqgen.cli import streams; streams.write({EVIL!r} + 'é\\tb\\n'); streams.flush()"
    words = [command()[0], "-c", code]
    piped = subprocess.run(words, capture_output=True, env=environment(), check=True, timeout=60)
    assert piped.stdout.decode() == f"{EVIL}é\tb\n"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdout=theirs, stderr=theirs, env=environment(), cwd=tmp_path)
    os.close(theirs)
    assert process.wait(60) == 0
    shown = os.read(ours, 4096)
    os.close(ours)
    assert shown.decode() == "\\x1b]0;owned\\x07\\x1b[2J\\x9b31mé\tb\r\n"


def test_warnings_about_files_are_harmless_on_a_terminal(folder: Path) -> None:
    (folder / "in").mkdir()
    for name in (f"{EVIL}.png", "b\nerror: c.png"):
        (folder / "in" / name).write_text("words")
    ended = stderr_on_terminal(["gan-train", "in", "--steps", "1", "--threads", "1"], cwd=folder, env=environment())
    assert ended.code == 2
    assert harmless(ended.err.encode())
    assert "b\\nerror: c.png (not an image)" in ended.err
