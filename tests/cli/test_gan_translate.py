"""`gan-train --arch pix2pix` and `cyclegan`, `gan-translate` and `evaluate` as a person types them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Call, TinyModel, command, environment, read_terminal, seqgen, shell

SIZES = "--ngf 4 --ndf 4 --batch-size 8 --threads 1 --precision fp32 --steps 6 --eval-every 3 --seed 3"
PIX2PIX = f"gan-train images.npz --arch pix2pix --condition edges --halvings 2 --patch 16 {SIZES} --out tiny"
CYCLEGAN = f"gan-train images.npz others.npz --arch cyclegan --blocks 1 --patch 16 {SIZES} --out tiny"


def write_images(folder: Path) -> None:
    """Colour images of 16x16 with one bright rectangle each, and grey ones."""
    draw = np.random.Generator(np.random.PCG64(0))
    pixels = np.full((40, 16, 16, 3), 40, np.uint8)
    for i, (top, left) in enumerate(draw.integers(0, 8, (40, 2))):
        pixels[i, top : top + 6, left : left + 7] = draw.integers(120, 256, 3)
    np.savez(folder / "images.npz", images=pixels)
    np.savez(folder / "others.npz", images=255 - pixels[:, ::-1, :, 0], labels=np.arange(40) % 2)


def trained(folder: Path, line: str) -> TinyModel:
    write_images(folder)
    done = seqgen(*line.split(), cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return TinyModel(folder / "tiny", folder, folder / "images.npz")


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return trained(tmp_path_factory.mktemp("edges"), PIX2PIX)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return trained(tmp_path_factory.mktemp("cycle"), CYCLEGAN)


def draw(path: Path, size: tuple[int, int] = (30, 20), mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


# Training -----------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_model_that_says_what_it_is(edges: TinyModel, cycle: TinyModel, call: Call) -> None:
    card = (edges.path / "README.md").read_text()
    assert "A pix2pix network that makes images of the edges of images, trained at 16x16" in card
    assert "seqgen gan-train images.npz --arch pix2pix --condition edges" in card
    assert "On the pairs held out." in card
    config = json.loads((edges.path / "config.json").read_bytes())
    assert (config["task"], config["architecture"]) == ("image-translation", "pix2pix")
    card = (cycle.path / "README.md").read_text()
    assert "seqgen gan-train images.npz others.npz --arch cyclegan" in card
    assert "4 of A and 4 of B" in card
    for model in (edges, cycle):
        assert "# tiny" in call("models", model.name).text


def test_a_run_goes_on_without_being_told_what_it_is(edges: TinyModel, tmp_path: Path) -> None:
    for name in ("images.npz", "tiny"):
        source = edges.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    done = seqgen("gan-train", "--resume", "--out", "tiny", "--steps", "8", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "going on with steps 8" in done.err


def test_settings_of_one_kind_are_not_those_of_another(edges: TinyModel, call: Call) -> None:
    for words in (["--config", f"{edges.name}/training.json"], ["--resume", "--out", edges.name]):
        ended = call("gan-train", *words, "--arch", "cgan")
        assert (ended.code, ended.error) == (2, "--arch cgan: the settings that are there are of another one")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("images.npz --condition edges", "--condition has no effect with --arch dcgan"),
        ("images.npz --arch pix2pix --condition edges --nz 3", "--latent-size has no effect with --arch pix2pix"),
        ("images.npz --arch pix2pix --preset r3 --condition grey", "--preset has no effect with --arch pix2pix"),
        ("images.npz --arch pix2pix --halvings 2 --patch 1", "is taken for a pair side by side"),
        ("images.npz --arch pix2pix --condition grey --halvings 7", "halvings is 7, too many for a side of 16 pixels"),
        ("images.npz --arch pix2pix --condition grey --patch 70", "patch is 70, which needs 24 pixels a side"),
        ("images.npz --arch pix2pix --condition grey --direction b2a", "--direction has no effect with --condition"),
        ("images.npz --arch pix2pix --l1 0 --adversarial 0 --condition grey", "nothing to learn from"),
        ("images.npz others.npz images.npz --arch pix2pix", "side by side in one path, or in two, not in 3"),
        ("images.npz --arch cyclegan", "a CycleGAN learns from two domains, not from 1"),
        ("images.npz others.npz --arch cyclegan --identity 1", "images of other channels cannot stay as they are"),
        ("images.npz others.npz --arch cyclegan --halvings 4", "halvings is 4, too many for a side of 16 pixels"),
        ("images.npz others.npz --arch cyclegan --patch 70", "patch is 70, which needs 24 pixels a side"),
        ("images.npz --processes 2", "so a GAN is trained by one process"),
        ("images.npz --arch pix2pix --condition grey --processes 2", "so a pix2pix model is trained by one process"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, said: str, folder: Path, call: Call) -> None:
    write_images(folder)
    short = "--ngf 4 --ndf 4 --steps 1 --batch-size 4 --threads 1 --out made"
    ended = seqgen("gan-train", *words.split(), *short.split(), cwd=folder)
    assert said in ended.err
    assert ended.code == (0 if "pair side by side" in said else 2), ended.err


# Using ----------------------------------------------------------------------------------------------------------


def test_an_image_through_a_pipe(edges: TinyModel, folder: Path) -> None:
    draw(folder / "x.png", mode="L")
    ended = shell(f"cat x.png | seqgen gan-translate -m {edges.path} - -o - > y.png", cwd=folder)
    assert (ended.code, ended.out) == (0, b""), ended.err
    assert "an image of 30x20; the model learned from 16x16: --image-size 16" in ended.err
    made = opened((folder / "y.png").read_bytes())
    assert (made.format, made.size, made.mode) == ("PNG", (30, 20), "RGB")
    again = shell(f"seqgen gan-translate -m {edges.path} < x.png | cmp - y.png", cwd=folder)
    assert again.code == 0, again.err


def test_what_comes_out_does_not_depend_on_company(edges: TinyModel, folder: Path, call: Call) -> None:
    for i, size in enumerate([(16, 16), (16, 16), (21, 33)]):
        draw(folder / f"in/{i}.png", size, "L", seed=i)
    ended = call("gan-translate", "-m", edges.name, "in", "--out", "out")
    assert ended.code == 0, ended.err
    for i in range(3):
        alone = call("gan-translate", "-m", edges.name, f"in/{i}.png")
        assert alone.out == (folder / f"out/{i}.png").read_bytes()


def test_files_folders_and_names_that_come_twice(edges: TinyModel, folder: Path, call: Call) -> None:
    for i, name in enumerate(("a/1.png", "a/x/2.png", "b/1.png", "c.png")):
        draw(folder / name, (16, 16), seed=i)
    words = ["gan-translate", "-m", edges.name, "a", "b/1.png", "c.png", "-o", "out"]
    assert call(*words).code == 0
    found = sorted(str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.png"))
    assert found == ["1-2.png", "1.png", "c.png", "x/2.png"]
    ended = call(*words)
    assert (ended.code, ended.error) == (2, "out/1.png stands there already")
    assert call(*words, "--overwrite").code == 0


def test_arrays_in_and_out(edges: TinyModel, folder: Path, call: Call) -> None:
    ended = call("gan-translate", "-m", edges.name, str(edges.data), "--derive")
    assert ended.code == 0, ended.err
    with np.load(io.BytesIO(ended.out)) as arrays:
        assert arrays["images"].shape == (40, 16, 16, 3)
    draw(folder / "a.png", (16, 16))
    draw(folder / "b.png", (16, 18))
    assert call("gan-translate", "-m", edges.name, "a.png", "-o", "a.npz").code == 0
    ended = call("gan-translate", "-m", edges.name, "a.png", "b.png", "-o", "ab.npz")
    assert "images of several sizes are no array" in ended.error


def test_a_strip_shows_the_input_the_output_and_the_target(edges: TinyModel, folder: Path, call: Call) -> None:
    draw(folder / "a.png", (16, 16))
    whole = opened(call("gan-translate", "-m", edges.name, "a.png", "--derive", "--compare").out)
    assert (whole.size, whole.mode) == ((16 * 3 + 2, 16), "RGB")
    assert np.array_equal(np.asarray(whole)[:, 34:], np.asarray(opened((folder / "a.png").read_bytes())))
    assert opened(call("gan-translate", "-m", edges.name, "a.png", "--compare").out).size == (33, 16)
    sized = call("gan-translate", "-m", edges.name, "a.png", "--image-size", "8x12", "-o", "made.jpg")
    assert sized.code == 0, sized.err
    made = opened((folder / "made.jpg").read_bytes())
    assert (made.format, made.size) == ("JPEG", (12, 8))


def test_pictures_that_cannot_be_used_are_named_and_the_others_are_made(
    edges: TinyModel, folder: Path, call: Call
) -> None:
    draw(folder / "in/good.png", (16, 16))
    draw(folder / "in/small.png", (16, 2))
    (folder / "in/bad.png").write_bytes(b"\0\1nothing")
    ended = call("gan-translate", "-m", edges.name, "in", "-o", "out")
    assert ended.code == 2
    assert "small: an image of 16x2 pixels: this model takes 3 pixels a side at least" in ended.err
    assert "bad.png (not an image)" in ended.err
    assert [path.name for path in (folder / "out").iterdir()] == ["good.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("missing.png", "missing.png: no such file or folder"),
        ("empty.png", "cannot be read"),
        ("a.png a.png", "several images are several files, which no pipe takes"),
        ("a.png a.png -o x.png", "x.png is the name of one picture, but there are several"),
        ("a.png -o x.gif", "ends in .gif"),
        ("a.png -o nowhere/x.png", "nowhere"),
        ("- -", "- stands for standard input, which is read once"),
        ("text.txt", "text.txt"),
        ("a.png --tile 3", "a multiple of 4 pixels"),
        ("a.png --image-size 2000", "a side has 4 to 1024 pixels"),
        ("a.png --image-size x", "image-size is 'x'"),
        ("a.png --fit pad", "--fit has no effect without --image-size"),
        ("a.png --pair", "this model learned from the edges of images"),
        ("a.png --direction b2a", "this model goes a2b only"),
        ("none", "none: no images"),
    ],
)
def test_what_cannot_be_done_is_said(words: str, said: str, edges: TinyModel, folder: Path, call: Call) -> None:
    draw(folder / "a.png", (16, 16))
    (folder / "empty.png").touch()
    (folder / "text.txt").write_text("some words\n" * 20)
    (folder / "none").mkdir()
    ended = call("gan-translate", "-m", edges.name, *words.split(), *(["-o", "out"] if words == "none" else []))
    assert ended.code in (1, 2)
    assert said in ended.error
    assert ended.out == b""


def test_on_a_terminal_a_file_and_a_preview(edges: TinyModel, folder: Path) -> None:
    import os
    import pty
    import subprocess

    draw(folder / "a.png", (16, 16))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("gan-translate", "-m", edges.name, "a.png"),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
    )
    os.close(theirs)
    shown = read_terminal(ours).decode()
    os.close(ours)
    assert process.wait() == 0, shown
    assert "translated.png: 16x16 pixels" in shown
    assert "\N{UPPER HALF BLOCK}" in shown
    assert (folder / "translated.png").is_file()


def test_a_model_of_two_ways(cycle: TinyModel, folder: Path, call: Call) -> None:
    draw(folder / "a.png", (19, 16))
    there = opened(call("gan-translate", "-m", cycle.name, "a.png").out)
    back = opened(call("gan-translate", "-m", cycle.name, "a.png", "--direction", "b2a").out)
    assert (there.mode, back.mode, there.size) == ("L", "RGB", (19, 16))
    ended = call("gan-translate", "-m", cycle.name, "a.png", "--derive")
    assert "nothing to derive an input by" in ended.error
    ended = call("gan-translate", "-m", cycle.name, "a.png", "--tile", "16", "-o", "t.png")
    assert "the tiles may not fit together" in ended.err
    ended = call("gan-translate", "-m", cycle.name, "a.png", "--seed", "1")
    assert ended.error == "--seed has no effect on a model without noise"


# Judging ----------------------------------------------------------------------------------------------------------


def test_pairs_are_judged(edges: TinyModel, call: Call) -> None:
    ended = call("evaluate", "-m", edges.name, str(edges.data), "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.text)
    assert found["pairs"] == 40
    assert found.keys() == {"model", "data", "l1", "psnr", "ssim", "frechet", "floor", "features", "pairs"}
    text = call("evaluate", "-m", edges.name, str(edges.data)).text
    assert "20 outputs, 20 other targets" in text


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps of two colours, textured photos of them, an untrained model that makes these, and one that reads."""
    folder = tmp_path_factory.mktemp("labels")
    draw = np.random.Generator(np.random.PCG64(0))
    which = np.zeros((48, 16, 16), np.int64)
    for i, (top, left) in enumerate(draw.integers(0, 8, (48, 2))):
        which[i, top : top + 7, left : left + 8] = 1
    maps = np.array([[200, 20, 20], [20, 20, 200]])[which]
    photos = np.array([[60, 60, 60], [190, 180, 90]])[which] + draw.integers(-20, 21, maps.shape)
    for name, pixels in (("maps", maps), ("photos", photos)):
        np.savez(folder / f"{name}.npz", images=pixels.astype(np.uint8))
    sizes = (
        "--arch pix2pix --halvings 2 --patch 16 --ngf 8 --ndf 4 --batch-size 8 --threads 1 --precision fp32 --seed 0"
    )
    for line in (
        f"gan-train maps.npz photos.npz {sizes} --steps 1 --out made",
        f"gan-train photos.npz maps.npz {sizes} --adversarial 0 --noise 0 --lr 5e-3 --steps 120 --out reader",
    ):
        done = seqgen(*line.split(), cwd=folder)
        assert done.code == 0, done.err
    return folder


def test_a_reader_finds_the_labels_of_what_is_made(
    labels: Path, edges: TinyModel, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labels)
    pairs = ("maps.npz", "photos.npz")
    ended = call("evaluate", "-m", "./made", *pairs, "--reader", "./reader", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.text)
    assert found["labels"].keys() == {"right", "right_by_class", "overlap"}
    assert found["labels_of_targets"]["right"] > 0.95
    assert found["labels_of_targets"]["overlap"] > found["labels"]["overlap"]
    assert "mean of 2 labels" in call("evaluate", "-m", "./made", *pairs, "--reader", "./reader").text
    ended = call("evaluate", "-m", str(edges.path), str(edges.data), "--reader", "./reader")
    assert "makes images of another size or colour" in ended.error


def test_domains_are_judged(cycle: TinyModel, call: Call) -> None:
    paths = [str(cycle.folder / name) for name in ("images.npz", "others.npz")]
    ended = call("evaluate", "-m", cycle.name, *paths, "--json", "--aligned")
    assert ended.code == 0, ended.err
    found = json.loads(ended.text)
    known = {"cycle", "frechet", "floor", "features", "images", "truth", "identity", "histogram"}
    assert found["a2b"].keys() == found["b2a"].keys() == known
    assert "from the truth" in call("evaluate", "-m", cycle.name, *paths, "--aligned").text
    assert "judged by the images of both domains" in call("evaluate", "-m", cycle.name, paths[0]).error
