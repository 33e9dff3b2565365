"""`train-captioner`, `caption`, and what `evaluate` and `inspect` say of a captioner, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_clips import drawn_clips, frames_of, save_clip
from PIL import Image
from running import Call, Ended, seqgen

from seqgen import modeldir

SMALL = (
    "--frames 4 --image-size 16 --vocab-size 300 --embed-size 16 --hidden-size 32 --attention-size 16 --dropout 0.0"
    " --lr 0.004 --warmup 5 --batch-size 12 --shift 0 --threads 1 --precision fp32 --eval-every 240 --ema 0.95"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of squares that move, which it has learned."""
    folder = tmp_path_factory.mktemp("captioner")
    drawn_clips(folder / "clips")
    done = seqgen("train-captioner", "clips", *SMALL.split(), "--steps", "480", "--out", "m", cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    assert "18 clips to train on, with 36 captions, 6 to validate on" in done.err
    return folder / "m"


def _caption(call: Call, model: Path, *words: str) -> Ended:
    return call("caption", "-m", str(model), *words)


def clip(model: Path, number: int) -> str:
    return str(model.parent / f"clips/{number}.gif")


def test_a_sentence_for_each_clip(model: Path, call: Call) -> None:
    ended = _caption(call, model, clip(model, 1), clip(model, 4), clip(model, 8))
    assert (ended.code, ended.err) == (0, "")
    first, second, third = ended.text.splitlines()
    assert {"green", "square", "left"} <= set(first.split())
    assert {"green", "square", "right"} <= set(second.split())
    assert {"blue", "square", "up"} <= set(third.split())


def test_names_come_through_a_pipe(model: Path, piped: Call) -> None:
    names = [clip(model, number) for number in range(5)]
    stdin = "\n".join([names[0], "", *names[1:]]).encode()
    together = piped(stdin, "caption", "-m", str(model))
    assert together.text.count("\n") == 5
    assert piped(stdin, "caption", "-m", str(model), "--batch-size", "1").out == together.out
    assert piped(stdin, "caption", "-m", str(model), "-").out == together.out
    assert piped(b"a\xff\n", "caption", "-m", str(model)).code == 2


def test_what_cannot_be_read_is_named_and_the_others_go_on(model: Path, call: Call, folder: Path) -> None:
    (folder / "broken.gif").write_bytes(b"GIF89a, and no more")
    (folder / "notes.txt").write_text("no clip\n")
    ended = _caption(call, model, clip(model, 0), "broken.gif", "none.gif", "notes.txt", clip(model, 1))
    assert ended.code == 2
    assert [bool(line) for line in ended.text.split("\n")] == [True, False, False, False, True, False]
    assert "warning: broken.gif: no frame can be read" in ended.err
    assert "warning: none.gif: no such file or folder" in ended.err
    assert "warning: notes.txt" in ended.err
    assert ended.error == "3 of 5 clips cannot be read"


def test_clips_of_all_kinds(model: Path, call: Call, folder: Path) -> None:
    """One frame, a thousand, odd sizes, transparent, a folder."""
    frames = frames_of("red", "down")
    Image.fromarray(frames[0]).save(folder / "one.png")
    save_clip(folder / "long.gif", [np.full((9, 31, 3), n % 256, np.uint8) for n in range(1000)])
    clear = np.dstack([frames[1], np.full((16, 16), 128, np.uint8)])
    Image.fromarray(clear).save(folder / "clear.webp")
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frames/{number}.png")
    ended = _caption(call, model, "--json", "one.png", "long.gif", "clear.webp", "frames")
    assert ended.code == 0
    told = [json.loads(line) for line in ended.text.splitlines()]
    assert [(each["frames"], each["total"]) for each in told] == [(1, 1), (4, 1000), (1, 1), (4, 4)]
    assert {"red", "down"} <= set(told[3]["text"].split())
    assert told[3]["text"] == _caption(call, model, clip(model, 9)).text.strip()  # the same frames as a GIF


def test_json(model: Path, call: Call, folder: Path) -> None:
    ended = _caption(call, model, "--json", "--n-best", "2", clip(model, 1), "none.gif")
    one, none = map(json.loads, ended.text.splitlines())
    keys = "file frames total error text score log_prob tokens log_probs".split()
    assert list(one) == [*keys, "alignment", "hypotheses"]
    assert (one["frames"], one["error"], len(one["hypotheses"])) == (4, None, 2)
    assert one["score"] == pytest.approx(one["log_prob"] / ((5 + len(one["tokens"])) / 6), abs=1e-5)
    assert [token for _, token in one["alignment"]] == list(range(len(one["tokens"]) - 1))
    assert {frame for frame, _ in one["alignment"]} <= set(range(4))
    assert (list(none), none["text"], none["error"]) == ([*keys, "hypotheses"], "", "none.gif: no such file or folder")


def test_searches(model: Path, call: Call, folder: Path) -> None:
    words = clip(model, 2)
    greedy = _caption(call, model, "--greedy", words).text
    assert _caption(call, model, "--beam", "1", words).text == greedy
    proved = json.loads(_caption(call, model, "--exhaustive", "--json", "--length-penalty", "0", words).text)
    assert proved["optimal"]
    beam = json.loads(_caption(call, model, "--json", "--length-penalty", "0", words).text)
    assert proved["score"] >= beam["score"] - 1e-5
    one, two = (_caption(call, model, "--sample", "--seed", "3", "-t", "2", words).text for _ in range(2))
    assert one == two
    assert _caption(call, model, "--prefix", "blue ", words).text.startswith("blue ")
    shown = _caption(call, model, "--show-beams", "--beam-svg", "tree.svg", "--attention-png", "map.png", words)
    assert "★" in shown.err
    assert (folder / "tree.svg").read_text().startswith("<svg")
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")


def test_evaluation_stands_beside_simple_methods(model: Path, call: Call) -> None:
    data = str(model.parent / "clips")
    ended = call("evaluate", "-m", str(model), data, "--json")
    found = json.loads(ended.text)
    assert found["clips"] == 6
    assert found["cider_d"] > found["frames_shuffled"]["cider_d"]  # the order tells where a square goes
    assert found["cider_d"] > found["nearest_clip"]["cider_d"] > found["most_frequent_caption"]["cider_d"]
    low, high = found["cider_interval"]
    assert low <= found["cider_d"] <= high
    table = call("evaluate", "-m", str(model), data).text
    assert "nearest clip" in table
    assert "95 %" in table


def test_which_frames_each_token_attended_to(model: Path, call: Call) -> None:
    ended = call("inspect", "-m", str(model), "--attention", clip(model, 1), "--json")
    [found] = json.loads(ended.text)["maps"]
    assert found["columns"] == ["1", "2", "3", "4"]
    assert found["rows"][-1] == "</s>"
    assert np.asarray(found["weights"]).sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert call("inspect", "-m", str(model), "--attention", "nothing").error == "nothing: no such clip"


def test_the_card_says_what_it_is_worth(model: Path) -> None:
    modeldir.verify(model)
    card = (model / "README.md").read_text()
    assert "seqgen train-captioner clips" in card
    assert "CIDEr-D" in card
    assert "6 clips" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no clips to train on"),
        ("none.json", "none.json: no such file or folder"),
        ("gone.json", "gone.json: none of its 1 clip can be read"),
        ("a.json b.json", "captions come from one list, not 2"),
        ("gone.json --cnn large", "cnn is 'large'"),
        ("gone.json --hidden-size 7", "hidden-size is 7, but two directions share it: it must be even"),
        ("gone.json --encoder mean --attention dot", "--attention has no effect with --encoder mean"),
        ("gone.json --valid 1", "valid is 1, but a fraction lies in [0, 1)"),
        ("gone.json --frames 0", "frames is 0, but must be at least 1"),
    ],
)
def test_bad_data_is_refused(words: str, message: str, folder: Path, call: Call) -> None:
    Path("gone.json").write_text('{"gone.gif": "a dog"}')
    ended = call("train-captioner", *words.split(), "--steps", "1", "--out", "m")
    assert (ended.code, ended.error) == (2, message)
    assert not Path("m/config.json").exists()


def test_a_list_comes_through_a_pipe(folder: Path, piped: Call) -> None:
    """Its files are looked up in the current folder."""
    drawn_clips(folder)
    rows = "".join(f"{number}.gif\ta square {number}\n" for number in range(12))
    words = ("train-captioner", "-", "--steps", "1", "--hidden-size", "8", "--threads", "1", "--out", "m")
    ended = piped(rows.encode(), *words)
    assert ended.code == 0, ended.err
    assert "11 clips to train on" in ended.err
    assert "1 to validate on" in ended.err


def test_frozen_features_are_computed_once(folder: Path, call: Call) -> None:
    drawn_clips(folder / "clips")
    words = ("clips", "--cnn", "features:digits", "--steps", "2", "--hidden-size", "8", "--threads", "1")
    assert call("train-captioner", *words, "--out", "m").code == 0
    assert (folder / "m/data/train.bin").stat().st_size == 18 * 4 * 96 * 4  # clips, frames, features, bytes
    assert call("caption", "-m", "m", "clips/1.gif").code == 0
    config = json.loads((folder / "m/config.json").read_text())
    assert config["network"]["feature_size"] == 96
