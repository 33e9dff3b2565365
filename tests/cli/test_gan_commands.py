"""`gan-train` and `gan-sample` as a person types them."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from running import Call, TinyModel, command, environment, read_terminal, seqgen, shell

from seqgen.modeldir.layout import manifest
from seqgen.tasks.gan.judge import Judge

SIZES = "--nz 4 --ngf 4 --ndf 4 --batch-size 16 --threads 1 --precision fp32 --features pixels"
TRAIN = f"gan-train images.npz --arch cgan --steps 12 --eval-every 6 --seed 3 {SIZES} --out tiny"


def write_images(path: Path, count: int = 40) -> None:
    """Grey images of 8x10 in the classes 0, 1 and 2, each of a brightness of its own."""
    draw = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(count) % 3
    pixels = draw.integers(0, 80, (count, 8, 10)) + 60 * labels[:, None, None]
    np.savez(path, images=pixels.astype(np.uint8), labels=labels)


@pytest.fixture(scope="module")
def tiny_gan(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    folder = tmp_path_factory.mktemp("tiny-gan")
    write_images(folder / "images.npz")
    done = seqgen(*TRAIN.split(), cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return TinyModel(folder / "tiny", folder, folder / "images.npz")


def named(model: TinyModel, path: Path, *classes: str) -> str:
    """A copy of a model whose classes have other names, and a manifest that vouches for it."""
    shutil.copytree(model.path, path, ignore=shutil.ignore_patterns("checkpoints", "data"))
    config = json.loads((path / "config.json").read_bytes())
    config["network"]["images"]["classes"] = classes
    (path / "config.json").write_text(json.dumps(config))
    files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "MANIFEST.json"}
    (path / "MANIFEST.json").write_bytes(manifest(files))
    return str(path)


def pictures_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


# Training -----------------------------------------------------------------------------------------------------


def test_a_run_says_what_it_sees_and_leaves_a_model(tiny_gan: TinyModel) -> None:
    card = (tiny_gan.path / "README.md").read_text()
    assert "A conditional GAN for images of 8x10, of 3 classes" in card
    assert "seqgen gan-train images.npz --arch cgan --latent-size 4" in card
    assert "`pixels`" in card
    config = json.loads((tiny_gan.path / "config.json").read_bytes())
    assert (config["task"], config["architecture"]) == ("images", "cgan")
    assert config["network"]["images"] == {"channels": 1, "height": 8, "width": 10, "classes": ["0", "1", "2"]}
    lines = [json.loads(line) for line in (tiny_gan.path / "metrics.jsonl").read_text().splitlines()]
    judged = [line for line in lines if "health" in line]
    assert [line["step"] for line in judged] == [0, 6, 12]
    assert {"train_frechet", "train_floor", "train_recall", "discriminator_accuracy"} <= judged[-1].keys()


def test_folders_are_classes_and_rectangles_are_fine(call: Call, folder: Path) -> None:
    for name, level in (("dark", 40), ("light", 200)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (20, 30), (level, level - i, 0)).save(folder / "photos" / name / f"{i}.png")
    done = call("gan-train", "photos", "--arch", "cgan", "--image-size", "9x14", "--steps", "2", *SIZES.split(), "-q")
    assert (done.code, done.out, done.err) == (0, b"", "")
    config = json.loads((folder / "models" / "photos-cgan" / "config.json").read_bytes())
    assert config["network"]["images"] == {"channels": 3, "height": 9, "width": 14, "classes": ["dark", "light"]}


def test_a_finished_model_is_judged_by_all_classes_though_images_stand_in_their_order(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.repeat([0, 1, 2], 20)
    np.savez(
        folder / "sorted.npz", images=np.tile(60 * labels[:, None, None], (1, 8, 8)).astype(np.uint8), labels=labels
    )
    asked, judged = [], Judge.judge

    def judge(self: Judge, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, float]:
        asked.append(labels)
        return judged(self, pixels, labels)

    monkeypatch.setattr(Judge, "judge", judge)
    done = call("gan-train", "sorted.npz", "--arch", "cgan", "--steps", "1", *SIZES.split(), "-o", "m")
    assert done.code == 0, done.err
    assert [set(labels) for labels in asked] == 3 * [{0, 1, 2}]


def test_idx_files_bring_their_labels(call: Call, folder: Path) -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (20, 8, 8)).astype(np.uint8)
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (folder / "a-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    labels = b"\0\0\x08\x01" + (20).to_bytes(4, "big") + bytes(i % 2 for i in range(20))
    (folder / "a-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    done = call("gan-train", "a-images-idx3-ubyte.gz", "--arch", "cgan", "--steps", "1", *SIZES.split(), "-o", "m")
    assert done.code == 0, done.err
    assert "20 grey images of 8x8 in 2 classes" in done.err


@pytest.mark.parametrize("preset", ["classic", "spectral", "r3"])
def test_presets_train(preset: str, tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    words = ["gan-train", str(tiny_gan.data), "--preset", preset, "--steps", "1", *SIZES.split(), "--out", preset]
    assert call(*words, "-q").code == 0
    settings = json.loads((folder / preset / "training.json").read_bytes())["settings"]
    assert settings["train"]["batch_size"] == 16  # what is typed wins
    assert settings != json.loads((tiny_gan.path / "training.json").read_bytes())["settings"]
    done = call("gan-sample", "-m", preset, "--n", "2", "--seed", "0")
    assert opened(done.out).size == (21, 8)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("", "no images to train on", "seqgen gan-train FOLDER"),
        ("nothing", "nothing: no such file", ""),
        ("plain.npz --arch cgan", "a cgan needs labels", "--arch dcgan"),
        ("plain.npz --image-size 3", "image-size is 3", ""),
        ("plain.npz --image-size big", "image-size is 'big'", "32x48"),
        ("plain.npz --latent-size 0", "latent-size is 0", ""),
        ("plain.npz --features nothing", "no model 'nothing' here", ""),
        ("none.npz", "none.npz: no images", "give a folder"),
        ("one.npz", "trained on 4 images at least, not on 1", ""),
        ("two.npz", "trained on 4 images at least, not on 2", ""),
        ("three.npz", "trained on 4 images at least, not on 3", ""),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(
    words: str, said: str, hint: str, call: Call, folder: Path
) -> None:
    np.savez(folder / "plain.npz", images=np.zeros((6, 8, 8), np.uint8))
    for count, name in enumerate(("none", "one", "two", "three")):
        np.savez(folder / f"{name}.npz", images=np.zeros((count, 8, 8), np.uint8))
    done = call("gan-train", *words.split(), *(["--steps", "1"] if words else []))
    assert done.code == 2
    assert said in done.error
    assert not hint or hint in done.hint
    assert not (folder / "models").exists()


@pytest.mark.parametrize("same", [False, True])
def test_four_images_are_enough(same: bool, call: Call, folder: Path) -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (4, 8, 8)).astype(np.uint8)
    np.savez(folder / "x.npz", images=pixels[[0, 0, 0, 0]] if same else pixels, labels=np.array([0, 1, 0, 1]))
    done = call(*f"gan-train x.npz --arch cgan --steps 2 --eval-every 1 {SIZES} --out m".split())
    assert done.code == 0, done.err


@pytest.mark.parametrize("line", ["gan-train in --arch cgan", "train-features in", "gan-train in.zip --arch cgan"])
def test_a_class_folder_without_images_is_named(line: str, call: Call, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / "in" / name).mkdir(parents=True)
    for i in range(20):
        Image.new("L", (8, 8), i).save(folder / "in" / "a" / f"{i}.png")
    shutil.make_archive("in", "zip", "in")
    done = call(*line.split(), "--steps", "1", "--threads", "1")
    assert done.code == 2
    assert "; there is no image in b" in done.error
    assert not (folder / "models").exists()


def test_a_resumed_run_keeps_its_game(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    words = f"gan-train {tiny_gan.data} --steps 2 {SIZES} --out m".split()
    assert call(*words).code == 0
    done = call("gan-train", "--resume", "--out", "m", "--loss", "hinge")
    assert done.code == 2
    assert "cannot change --loss from non-saturating to " in done.error
    assert call("gan-train", "--resume", "--out", "m", "--steps", "4", "--lr", "0.0005").code == 0


# Sampling -----------------------------------------------------------------------------------------------------


def test_a_pipe_gets_a_png(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    done = call("gan-sample", "-m", tiny_gan.name, "--n", "6", "--seed", "1")
    assert done.code == 0
    assert (opened(done.out).format, opened(done.out).size) == ("PNG", (3 * 11 - 1, 2 * 9 - 1))
    assert list(folder.iterdir()) == []


def test_the_same_seed_gives_the_same_bytes_and_another_is_drawn(tiny_gan: TinyModel, call: Call) -> None:
    one, same, drawn = (
        call("gan-sample", "-m", tiny_gan.name, "--n", "4", *words) for words in (["--seed", "1"], ["--seed", "1"], [])
    )
    assert one.out == same.out != drawn.out
    seed = drawn.err.split()[1]
    assert drawn.err == f"seed {seed}\n"
    assert call("gan-sample", "-m", tiny_gan.name, "--n", "4", "--seed", seed).out == drawn.out


def test_a_seed_is_in_fp32_whatever_the_processor_says_of_itself(
    tiny_gan: TinyModel, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"avx512_bf16": True, "amx_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    words = ["gan-sample", "-m", str(tiny_gan.path), "--n", "4", "--seed", "1", "--format", "npz", "--out", "-"]
    plain, asked, other = (call(*words, *more).out for more in ([], ["--precision", "fp32"], ["--precision", "bf16"]))
    assert plain == asked != other
    assert "auto" in call(*words, "--precision", "auto").err


def test_an_image_is_the_same_in_any_company(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    for n, out in ((3, "few"), (50, "many")):
        words = f"gan-sample -m {tiny_gan.name} --n {n} --seed 1 --class 0,2 --format files --out {out} -q"
        assert call(*words.split()).code == 0
    few, many = ({p.name: p.read_bytes() for p in (folder / out).rglob("*.png")} for out in ("few", "many"))
    assert len(many) == 50
    assert few.items() <= many.items()
    assert sorted(p.name for p in (folder / "few").iterdir()) == ["0", "2"]


def test_an_array_has_images_and_labels(tiny_gan: TinyModel, call: Call) -> None:
    done = call("gan-sample", "-m", tiny_gan.name, "--n", "7", "--class", "all", "--seed", "1", "--format", "npz")
    with np.load(io.BytesIO(done.out)) as arrays:
        assert arrays["images"].shape == (7, 8, 10, 1)
        assert arrays["images"].dtype == np.uint8
        assert arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_what_was_sampled_can_be_trained_on(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    assert call(*f"gan-sample -m {tiny_gan.name} --n 20 --seed 1 -f npz -o again.npz".split()).code == 0
    assert call(*f"gan-train again.npz --arch cgan --steps 1 {SIZES} --out m".split()).code == 0


def test_the_way_between_two_images(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    words = f"gan-sample -m {tiny_gan.name} --seed 1 --interpolate 0 5 --n 6".split()
    assert opened(call(*words).out).size == (6 * 11 - 1, 8)
    assert call(*words, "--out", "way.gif").code == 0
    with Image.open(folder / "way.gif") as way:
        assert getattr(way, "n_frames", 0) <= 10
        assert way.format == "GIF"
    assert call(*words, "--format", "files").code == 2


# Names of classes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a\\b", "..", "", "\x1b[2Jx", "a\nerror: b", "x" * 2000])
@pytest.mark.parametrize("form", ["files", "npz", "grid"])
def test_a_class_with_a_name_that_is_none_is_refused(
    name: str, form: str, tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    hostile = named(tiny_gan, folder / "in" / "m", "0", name, "2")
    done = call("gan-sample", "-m", hostile, "-n", "20", "-f", form, "--out", str(folder / "in" / "d" / "out"), "-v")
    assert done.code == 2
    assert "config.json: network.images: the class" in done.error
    assert done.error.isprintable()
    assert len(done.error) < 400
    assert not (folder / "in" / "d").exists()
    assert [path.name for path in folder.iterdir()] == ["in"]


def test_names_that_not_every_system_has_are_folders_all_the_same(
    tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    model = named(tiny_gan, folder / "m", "CON", "Cat", "cat")
    done = call("gan-sample", "-m", model, "-n", "6", "-c", "all", "--seed", "1", "-f", "files", "--out", "out")
    assert done.code == 0, done.err
    written = sorted(pictures_in(folder / "out"))
    assert written == [
        *("Cat/00001.png", "Cat/00004.png", "_CON/00000.png"),
        *("_CON/00003.png", "cat-2/00002.png", "cat-2/00005.png"),
    ]
    assert "the class CON is in out/_CON" in done.err
    assert "the class cat is in out/cat-2" in done.err


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        (["red, ripe"], [0, 0, 0, 0]),
        ([" space"], [1, 1, 1, 1]),
        (["all"], [2, 2, 2, 2]),
        (["red, ripe", "all"], [0, 2, 0, 2]),
        ([" space,all"], [1, 2, 1, 2]),
        (["all", " space", "red, ripe"], [2, 1, 0, 2]),
    ],
)
def test_every_name_can_be_asked_for(
    asked: list[str], labels: list[int], tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    model = named(tiny_gan, folder / "m", "red, ripe", " space", "all")
    words = [word for value in asked for word in ("--class", value)]
    done = call("gan-sample", "-m", model, "-n", "4", "--seed", "1", "-f", "npz", *words)
    assert done.code == 0, done.err
    with np.load(io.BytesIO(done.out)) as arrays:
        assert arrays["labels"].tolist() == labels


# A folder of images --------------------------------------------------------------------------------------------


def test_images_of_two_seeds_are_never_mixed(tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    words = f"gan-sample -m {tiny_gan.name} -f files --out out".split()
    assert call(*words, "-n", "5", "--seed", "1").code == 0
    before = pictures_in(folder / "out")
    done = call(*words, "-n", "3", "--seed", "2")
    assert done.code == 2
    assert "out is not empty" in done.error
    assert "--overwrite" in done.hint
    assert pictures_in(folder / "out") == before
    assert call(*words, "-n", "3", "--seed", "2", "--overwrite").code == 0
    assert call(*f"gan-sample -m {tiny_gan.name} -f files --out new -n 3 --seed 2".split()).code == 0
    assert pictures_in(folder / "out") == pictures_in(folder / "new")
    assert len(pictures_in(folder / "out")) == 3


@pytest.mark.parametrize("found", ["photo.jpg", "0/notes.txt", "0/deeper/00000.png", ".git/00000.txt"])
def test_what_gan_sample_did_not_make_stays(found: str, tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    (folder / "out" / found).parent.mkdir(parents=True)
    (folder / "out" / found).write_bytes(b"mine")
    (folder / "out" / "00000.png").write_bytes(b"old")
    before = pictures_in(folder / "out")
    done = call(*f"gan-sample -m {tiny_gan.name} -n 2 -f files --out out --overwrite".split())
    assert done.code == 2
    assert "is no image that gan-sample made" in done.error
    assert pictures_in(folder / "out") == before


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("name", ["0", "1", "00000.png"])
def test_a_link_leads_nowhere(name: str, overwrite: list[str], tiny_gan: TinyModel, call: Call, folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "00000.png").write_bytes(b"mine")
    (folder / "out").mkdir()
    target = "../elsewhere/00000.png" if name.endswith(".png") else "../elsewhere"
    (folder / "out" / name).symlink_to(target)
    done = call(*f"gan-sample -m {tiny_gan.name} -n 6 --class all -f files --out out".split(), *overwrite)
    assert done.code == 2
    assert pictures_in(folder / "elsewhere") == {"00000.png": b"mine"}
    assert (folder / "out" / name).is_symlink()


# Suffixes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.png", "PNG"), ("x.PNG", "PNG"), ("x.jpg", "JPEG"), ("x.jpeg", "JPEG"), ("x.webp", "WEBP"), ("x", "PNG")],
)
def test_a_grid_is_written_as_its_suffix_says(
    name: str, kind: str, tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    assert call(*f"gan-sample -m {tiny_gan.name} -n 4 --seed 1 --out {name}".split()).code == 0
    assert opened((folder / name).read_bytes()).format == kind


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--out x.svg", "--out x.svg ends in .svg, but this is written as .png, .jpg, .jpeg or .webp"),
        ("--out x.gif", "ends in .gif"),
        ("--out x.npz", "ends in .npz"),
        ("-f npz --out x.png", "--out x.png ends in .png, but this is written as .npz"),
        ("-f files --out x.png", "--format files makes a folder, but x.png is the name of a file"),
        ("--interpolate 0 1 --out x.mp4", ".png, .jpg, .jpeg, .webp, .gif or .apng"),
        ("--overwrite --out x.png", "--overwrite has no effect without --format files"),
    ],
)
def test_a_suffix_that_cannot_be_is_refused(
    words: str, said: str, tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    done = call(*f"gan-sample -m {tiny_gan.name} -n 4 {words}".split())
    assert done.code == 2
    assert said in done.error
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("name", "kind"), [("w.webp", "WEBP"), ("w.apng", "PNG"), ("w.gif", "GIF")])
def test_an_animation_has_the_pixels_of_the_row(
    name: str, kind: str, tiny_gan: TinyModel, call: Call, folder: Path
) -> None:
    words = f"gan-sample -m {tiny_gan.name} --seed 1 --interpolate 0 1 --n 4".split()
    with np.load(io.BytesIO(call(*words, "-f", "npz").out)) as arrays:
        row = arrays["images"]
    assert call(*words, "--out", name).code == 0
    with Image.open(folder / name) as way:
        assert (way.format, getattr(way, "n_frames", 1)) == (kind, 6)  # there, and back without the ends
        for frame, expected in enumerate([*row, row[2], row[1]]):
            way.seek(frame)
            assert np.array_equal(np.asarray(way.convert("L")), expected[:, :, 0])


def test_truncation_draws_samples_together(tiny_gan: TinyModel, call: Call) -> None:
    def spread(*words: str) -> float:
        done = call(*f"gan-sample -m {tiny_gan.name} --n 20 --class 1 --seed 1 -f npz".split(), *words)
        with np.load(io.BytesIO(done.out)) as arrays:
            return float(arrays["images"].astype(float).std(axis=0).mean())

    assert spread("--truncation", "0.1") < 0.5 * spread()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--grid 2x2 --n 9", "--grid 2x2 has 4 places for 9 images"),
        ("--grid nine", "--grid nine is not rows x columns"),
        ("--class 7", "the model knows no class '7'"),
        ("--format files --out -", "--format files needs a folder"),
    ],
)
def test_what_cannot_be_sampled_is_said_in_a_sentence(words: str, said: str, tiny_gan: TinyModel, call: Call) -> None:
    done = call("gan-sample", "-m", tiny_gan.name, *words.split())
    assert (done.code, done.out) == (2, b"")
    assert said in done.error


def test_a_model_that_is_not_here_is_named(call: Call, folder: Path) -> None:
    assert call("gan-sample", "-m", "nothing").error == "no model 'nothing' here"


def test_a_text_model_makes_no_images(tiny: TinyModel, call: Call) -> None:
    assert "not a GAN" in call("gan-sample", "-m", tiny.name).error


def test_in_a_shell_line(tiny_gan: TinyModel) -> None:
    done = shell("seqgen gan-sample -m tiny --n 4 --seed 1 | head -c 8 | od -An -c", cwd=tiny_gan.folder)
    assert done.code == 0
    assert done.text.split() == ["211", "P", "N", "G", r"\r", r"\n", "032", r"\n"]


def test_on_a_terminal_there_is_a_file_and_a_preview(tiny_gan: TinyModel, tmp_path: Path) -> None:
    import os
    import pty
    import subprocess

    ours, theirs = pty.openpty()
    words = command("gan-sample", "-m", tiny_gan.name, "--n", "4", "--seed", "1")
    process = subprocess.Popen(
        words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment()
    )
    os.close(theirs)
    shown = read_terminal(ours).decode()
    os.close(ours)
    assert process.wait(60) == 0
    assert "samples.png: 21x17 pixels" in shown
    assert "▀" in shown
    assert opened((tmp_path / "samples.png").read_bytes()).size == (21, 17)
