"""What goes to stdout, what to stderr, and what happens when one of them, or stdin, is not what one expects."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from running import (
    ESCAPE,
    SMALL,
    Call,
    TinyModel,
    command,
    environment,
    read_terminal,
    seqgen,
    shell,
    stderr_on_terminal,
)

JSON_KEYS = ["index", "prompt", "text", "tokens", "log_prob", "stopped_by", "seed"]
PROMPT = "caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{SNOWMAN} [b]"


@pytest.fixture
def sample(tiny: TinyModel) -> str:
    """The beginning of a shell line."""
    return f"seqgen sample -m {shlex.quote(tiny.name)}"


# The result and the messages ----------------------------------------------------------------------------------


def test_a_text_is_its_bytes_and_a_seed_that_gives_them_again(tiny: TinyModel, folder: Path, call: Call) -> None:
    first = seqgen("sample", "-m", tiny.name, "--length", "200", cwd=folder)
    assert first.code == 0
    assert len(first.text) in (200, 201)  # a text that ends a line itself gets no second line end
    said = re.fullmatch(r"seed (\d+)\n", first.err)
    assert said
    again = call("sample", "-m", tiny.name, "--length", "200", "-p", "", "--seed", said[1])
    assert (again.code, again.out, again.err) == (0, first.out, "")


def test_another_seed_is_another_text(tiny: TinyModel, folder: Path, call: Call) -> None:
    texts = {call("sample", "-m", tiny.name, "-p", "", "--seed", str(seed)).out for seed in (1, 2, 1)}
    assert len(texts) == 2


def test_a_prompt_comes_from_a_pipe_and_stands_before_the_text(tiny: TinyModel, folder: Path) -> None:
    prompt = (PROMPT + "\n").encode()
    ended = seqgen("sample", "-m", tiny.name, "--length", "20", "--seed", "1", cwd=folder, stdin=prompt)
    assert ended.code == 0
    assert ended.out.startswith(prompt)
    assert len(ended.text) in (len(PROMPT) + 21, len(PROMPT) + 22)


def test_a_file_is_no_prompt_and_a_dash_is_standard_input(
    tiny: TinyModel, folder: Path, call: Call, piped: Call
) -> None:
    words = ["sample", "-m", tiny.name, "--seed", "1", "--length", "5", "--prompt"]
    Path("prompt.txt").write_text("ab")
    ended = call(*words, "prompt.txt")
    assert (ended.code, ended.error) == (2, "prompt.txt is a file, but a text is expected")
    assert ended.hint == "seqgen sample < prompt.txt"
    assert piped(b"ab", *words, "-").out == call(*words, "ab").out


def test_quiet_says_nothing_but_errors(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    for words in (
        ["sample", "-m", tiny.name, "-p", "\N{SNOWMAN}", "-q"],
        ["evaluate", "data.txt", "-m", tiny.name, "-q"],
        ["train-lm", "data.txt", "--out", "run", *SMALL, "--steps", "1", "-q"],
    ):
        ended = call(*words)
        assert (ended.code, ended.err) == (0, "")
    assert call("sample", "-m", "no-such-model", "-q").error


def test_training_writes_nothing_to_stdout_and_says_where_the_model_is(
    tiny: TinyModel, folder: Path, call: Call
) -> None:
    shutil.copy(tiny.data, "data.txt")
    out = "a folder/" + "with-a-long-name-" * 6
    ended = call("train-lm", "data.txt", "--out", out, *SMALL, "--steps", "2")
    assert (ended.code, ended.out) == (0, b"")
    assert f"try: seqgen sample -m '{out}'" in ended.err.splitlines()
    assert "nats" in ended.err


def test_verbose_says_more_but_not_on_stdout(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["sample", "-m", tiny.name, "-p", "", "--seed", "1"]
    plain, verbose = call(*words), call(*words, "-v")
    assert plain.out == verbose.out
    assert "hidden-size 16" in verbose.err


def test_json_is_one_object_per_text(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("sample", "-m", tiny.name, "-n", "3", "--length", "30", "-p", PROMPT, "--seed", "7", "--json")
    texts = [json.loads(line) for line in ended.text.splitlines()]
    assert [list(text) for text in texts] == [JSON_KEYS] * 3
    assert [text["index"] for text in texts] == [0, 1, 2]
    for text in texts:
        assert (text["prompt"], text["seed"], text["tokens"], text["stopped_by"]) == (PROMPT, 7, 30, "length")
        assert len(text["text"]) == 30
        assert text["log_prob"] < 0


def test_json_of_a_drawn_seed_names_it(tiny: TinyModel, folder: Path, call: Call) -> None:
    ended = call("sample", "-m", tiny.name, "-p", "", "--length", "5", "--json")
    assert ended.err == f"seed {json.loads(ended.out)['seed']}\n"


# Closed, full and broken ends ---------------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_the_text_silently(sample: str, folder: Path) -> None:
    ended = shell(f'{sample} --length 100000000 | head -c 10; exit "${{PIPESTATUS[0]}}"', cwd=folder)
    assert ended.code == 141
    assert len(ended.out) == 10
    assert re.fullmatch(r"seed \d+\n", ended.err)


def test_help_into_a_reader_that_goes_away(folder: Path) -> None:
    ended = shell('seqgen sample --help | true; exit "${PIPESTATUS[0]}"', cwd=folder)
    assert (ended.code, ended.err) == (141, "")


@pytest.mark.slow
def test_closed_stdin_is_no_prompt(sample: str, folder: Path) -> None:
    ended = shell(f"{sample} --length 10 --seed 1 <&-", cwd=folder)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.text) == 11


@pytest.mark.parametrize(
    "words", ["train-lm - --out run", pytest.param("evaluate - -m {model}", marks=pytest.mark.slow)]
)
def test_closed_stdin_is_no_text(words: str, tiny: TinyModel, folder: Path) -> None:
    ended = shell(f"seqgen {words.format(model=shlex.quote(tiny.name))} <&-", cwd=folder)
    assert ended.code == 2
    assert ended.error.startswith("standard input")
    assert not Path("run").exists()


def test_closed_stdout_is_an_error_in_one_sentence(tiny: TinyModel, folder: Path) -> None:
    ended = shell(f"seqgen models {shlex.quote(tiny.name)} >&-", cwd=folder)
    assert (ended.code, ended.err) == (1, "error: standard output is closed\n")


@pytest.mark.slow
def test_closed_stderr_loses_the_messages_only(sample: str, folder: Path) -> None:
    ended = shell(f"{sample} --length 10 --seed 1 2>&-", cwd=folder)
    assert (ended.code, len(ended.text)) == (0, 11)


@pytest.mark.slow
def test_a_full_disk_is_an_error_in_one_sentence(sample: str, folder: Path) -> None:
    ended = shell(f"{sample} --length 10 --seed 1 >/dev/full", cwd=folder)
    assert ended.code == 1
    assert ended.err == "error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("words", ["--version", "--help", "sample --help"])
def test_version_and_help_on_a_full_disk(words: str, folder: Path) -> None:
    ended = shell(f"seqgen {words} >/dev/full", cwd=folder)
    assert ended.code == 1
    assert ended.err == "error: standard output cannot be written: No space left on device\n"


def test_a_usage_error_without_stderr_is_still_one(folder: Path) -> None:
    assert shell("seqgen sample --no-such-option 2>&-", cwd=folder).code == 2
    assert shell("seqgen sample --greedy --top-k 2 2>&-", cwd=folder).code == 2


@pytest.mark.slow
def test_messages_that_do_not_fit_on_the_disk_do_not_end_a_text(sample: str, folder: Path) -> None:
    ended = shell(f"{sample} --length 10 --seed 1 2>/dev/full", cwd=folder)
    assert (ended.code, len(ended.text)) == (0, 11)


# Locales ------------------------------------------------------------------------------------------------------

ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a terminal that speaks ISO 8859-1."""
    folder = tmp_path_factory.mktemp("locales")
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("no localedef to make a Latin-1 locale with")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}


def _prompted_both_ways(tiny: TinyModel, folder: Path, env: dict[str, str]) -> None:
    for words, stdin in ((["-p", PROMPT], b""), ([], PROMPT.encode())):
        ended = seqgen("sample", "-m", tiny.name, "-l", "9", "--seed", "1", *words, cwd=folder, stdin=stdin, **env)
        assert ended.code == 0, ended.err
        assert ended.out.startswith(PROMPT.encode())
        assert "warning: the model has never seen" in ended.err


@pytest.mark.slow
def test_utf8_in_and_out_in_the_c_locale(tiny: TinyModel, folder: Path) -> None:
    words = ["sample", "-m", tiny.name, "--length", "9", "--seed", "1", "-p", PROMPT]
    ended = seqgen(*words, cwd=folder, LC_ALL="C")
    assert ended.code == 0
    assert ended.out.startswith(PROMPT.encode())


@pytest.mark.slow
def test_utf8_in_and_out_where_python_speaks_ascii(tiny: TinyModel, folder: Path) -> None:
    _prompted_both_ways(tiny, folder, ASCII_ONLY)


@pytest.mark.slow
def test_utf8_in_and_out_on_a_latin_1_terminal(tiny: TinyModel, folder: Path, latin_1: dict[str, str]) -> None:
    _prompted_both_ways(tiny, folder, latin_1)


def test_a_prompt_that_is_not_utf8_is_refused_in_a_sentence(sample: str, folder: Path) -> None:
    ended = shell(f"{sample} --length 10 --seed 1 -p $'caf\\xe9'", cwd=folder)
    assert (ended.code, ended.out) == (2, b"")
    assert "UTF-8" in ended.error


def test_a_piped_prompt_that_is_not_utf8_is_refused_in_a_sentence(tiny: TinyModel, folder: Path) -> None:
    ended = seqgen("sample", "-m", tiny.name, cwd=folder, stdin=b"caf\xe9")
    assert (ended.code, ended.out) == (2, b"")
    assert ended.error == "standard input, line 1: not UTF-8 (byte 0xe9)"


def test_a_byte_order_mark_is_no_part_of_a_prompt(tiny: TinyModel, folder: Path, call: Call, piped: Call) -> None:
    words = ["sample", "-m", tiny.name, "--length", "5", "--seed", "1"]
    plain = call(*words, "--prompt", "ab")
    for ended in (piped(b"\xef\xbb\xbfab", *words), call(*words, "--prompt", "\ufeffab")):
        assert (ended.out, ended.err) == (plain.out, plain.err)
    for ended in (piped(b"\xef\xbb\xbf", *words), call(*words, "--prompt", "\ufeff")):
        assert ended.out == call(*words, "--prompt", "").out


# Terminals ----------------------------------------------------------------------------------------------------

COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;[0-9;]*)?m")


def test_no_terminal_no_escape_codes(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    for words in (
        ["train-lm", "data.txt", "--out", "run", *SMALL, "--steps", "2"],
        ["evaluate", "data.txt", "-m", tiny.name],
        ["sample", "-m", tiny.name, "-p", "", "--seed", "1"],
        ["models"],
        ["sample", "-m", "no-such-model"],
    ):
        ended = call(*words)
        assert ESCAPE not in ended.text + ended.err
    for line in ("seqgen --help", "seqgen sample --lenght 3"):
        ended = shell(line, cwd=folder)
        assert ESCAPE not in ended.text + ended.err


def _train(folder: Path, tiny: TinyModel, **env: str) -> str:
    shutil.copy(tiny.data, folder / "data.txt")
    words = ["train-lm", "data.txt", "--out", "run", *SMALL, "--steps", "40", "--overwrite"]
    ended = stderr_on_terminal(words, cwd=folder, env=environment(**env))
    assert (ended.code, ended.out) == (0, b""), ended.err
    assert "try: seqgen sample -m run" in ended.err
    return ended.err


def test_training_shows_a_bar_on_a_terminal_without_colours_if_asked(tiny: TinyModel, folder: Path) -> None:
    shown = _train(folder, tiny, NO_COLOR="1")
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in shown
    assert "/40" in shown
    assert ESCAPE in shown
    assert not COLOUR.search(shown)


@pytest.mark.slow
def test_training_shows_colours_on_a_terminal_and_plain_lines_on_a_dumb_one(tiny: TinyModel, folder: Path) -> None:
    assert COLOUR.search(_train(folder, tiny))
    assert ESCAPE not in _train(folder, tiny, TERM="dumb")


@pytest.mark.slow
def test_evaluation_shows_a_bar_on_a_terminal(tiny: TinyModel, folder: Path) -> None:
    (folder / "data.txt").write_bytes(tiny.data.read_bytes() * 20)
    words = ["evaluate", "data.txt", "-m", tiny.name, "--json"]
    ended = stderr_on_terminal(words, cwd=folder, env=environment())
    assert "evaluating" in ended.err
    assert json.loads(ended.out)["tokens"] == 20 * len(tiny.data.read_text()) - 1


def test_a_text_streams_onto_a_terminal(tiny: TinyModel, folder: Path) -> None:
    """Characters come while there is no end in sight, none of them held back for its line."""
    ours, theirs = pty.openpty()
    words = command("sample", "-m", tiny.name, "--length", "100000000", "--seed", "1", "-p", "the ")
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment()
    )
    os.close(theirs)
    shown = b""
    while len(shown) < 200:
        shown += os.read(ours, 64)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    read_terminal(ours)
    os.close(ours)
    assert process.stderr is not None
    with process.stderr as err:
        assert (process.wait(60), err.read()) == (130, b"")
    assert shown.startswith(b"the ")
    assert ESCAPE.encode() not in shown


# A pipe as text -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pipe_trains_and_is_judged(tiny: TinyModel, folder: Path, call: Call) -> None:
    shutil.copy(tiny.data, "data.txt")
    words = ["train-lm", "-", "--out", "piped", *SMALL, "--steps", "3"]
    assert seqgen(*words, cwd=folder, stdin=tiny.data.read_bytes()).code == 0
    assert call(*["data.txt" if word == "-" else word for word in words[:3]], "filed", *words[4:]).code == 0
    assert Path("piped/model.safetensors").read_bytes() == Path("filed/model.safetensors").read_bytes()
    from_pipe = seqgen("evaluate", "-m", "piped", "-", "--json", cwd=folder, stdin=tiny.data.read_bytes())
    from_file = call("evaluate", "-m", "filed", "data.txt", "--json")
    piped, filed = json.loads(from_pipe.out), json.loads(from_file.out)
    assert (piped.pop("model"), filed.pop("model")) == ("piped", "filed")
    assert (piped.pop("data"), filed.pop("data")) == (["-"], ["data.txt"])
    assert piped == filed


@pytest.mark.slow
def test_a_named_pipe_trains(tiny: TinyModel, folder: Path) -> None:
    words = shlex.join(["--out", "run", *SMALL, "--steps", "1"])
    ended = shell(f"seqgen train-lm <(cat {shlex.quote(str(tiny.data))}) {words}", cwd=folder)
    assert ended.code == 0
