"""Every command of the README runs as it stands; training is only made shorter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_clips import drawn_clips, frames_of, save_clip
from PIL import Image

from seqgen import modeldir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
INSTALLING = [block for block in BLOCKS if "pip install" in block]  # run by .ci/run, in an environment of their own
SHIPPED = (
    "drawn-clips",
    "sunspots",
    "surnames",
    "shakespeare-lstm",
    "multi30k-de-en",
    "multi30k-de-en-lstm",
    "mnist-cgan",
    "digits-features",
    "edges-emoji",
)
COMMANDS = "".join(block for block in BLOCKS if block not in INSTALLING)


def shortened(commands: str) -> str:
    commands = re.sub(r"--(minutes|steps) [\d.]+", "--steps 3", commands)
    commands = re.sub(r"train-lm data.txt$", "train-lm data.txt --steps 3", commands, flags=re.MULTILINE)
    sizes = "--embed-size 16 --heads 2 --layers 1 --ffn-size 16"
    commands = re.sub(r"train-transformer (?!--config)", f"train-transformer {sizes} ", commands)
    commands = re.sub(r"(train-transformer .*train\.en)", r"\1 --vocab-size 290", commands)
    commands = commands.replace("gan-train ", "gan-train --ngf 4 --ndf 4 --batch-size 8 ")
    commands = commands.replace("train-classifier", "train-classifier --hidden-size 8")
    commands = commands.replace("train-forecaster", "train-forecaster --hidden-size 8 --steps 3")
    commands = commands.replace("train-captioner", "train-captioner --hidden-size 8")
    commands = commands.replace("train-seq2seq", "train-seq2seq --vocab-size 290 --hidden-size 8 --steps 3")
    return re.sub(r"train-lm (?!--resume)", "train-lm --hidden-size 8 ", commands)


def test_there_are_two_installing_commands_and_the_others_are_found() -> None:
    assert [("pytest" in block) for block in INSTALLING] == [False, True]
    assert len(COMMANDS.splitlines()) > 8


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    shipped = modeldir.shipped_directory()
    if shipped is None or not all((shipped / name).is_dir() for name in SHIPPED):
        pytest.skip("the commands use the shipped models")
    (tmp_path / "data.txt").write_text("ROMEO:\nBut, soft! what light through yonder window breaks?\n" * 40)
    for name in ("train", "val", "test", "in"):
        (tmp_path / f"{name}.de").write_text("Ein Hund rennt.\nZwei Katzen schlafen im Haus.\n" * 40)
        (tmp_path / f"{name}.en").write_text("A dog runs.\nTwo cats are asleep in the house.\n" * 40)
    (tmp_path / "names").mkdir()
    for label, letters in (("Greek", "aeiou"), ("Irish", "bdfgk")):
        names = (f"{one}{two}{three}\n" for one in letters for two in "lmn" for three in "ost")
        (tmp_path / "names" / f"{label}.txt").write_text("".join(names))
    (tmp_path / "reviews.tsv").write_text(
        "".join(f"it is {'good' if i % 2 else 'bad'} {i}\t{i % 2}\n" for i in range(40))
    )
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conll").write_text("A\tDET\ndog\tNOUN\nruns\tVERB\n\n" * 30)
    months = (f"{1990 + i // 12}-{i % 12 + 1:02d},{20 + i % 12 + i % 5}\n" for i in range(160))
    (tmp_path / "sales.csv").write_text("date,sold\n" + "".join(months))
    draw = np.random.Generator(np.random.PCG64(0))
    np.savez(
        tmp_path / "digits.npz", images=draw.integers(0, 256, (60, 28, 28)).astype(np.uint8), labels=np.arange(60) % 10
    )
    drawn_clips(tmp_path)
    save_clip(tmp_path / "clip.gif", frames_of("red", "up"))
    Image.new("L", (64, 64), 255).save(tmp_path / "drawing.png")
    Image.new("RGB", (80, 60), (200, 30, 30)).save(tmp_path / "photo.png")
    (tmp_path / "photos").mkdir()
    for i in range(8):
        Image.new("RGB", (60, 40), (20 * i, 200, 0)).save(tmp_path / "photos" / f"{i}.jpg")
    script = f'seqgen() {{ "{sys.executable}" -m seqgen "$@"; }}\nset -ex\n{shortened(COMMANDS)}'
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "models" / "data-lstm" / "MANIFEST.json").is_file()
    assert len((tmp_path / "out.en").read_text().splitlines()) == 80
    pictures = "grid digits photos stages emoji strip".split()
    made = (*(f"{name}.png" for name in pictures), "way.gif", "some.npz", "photos.npz")
    assert all((tmp_path / name).stat().st_size for name in made)
    assert (tmp_path / "tagged.conll").read_text().startswith("A\tDET\n")
    assert (tmp_path / "confusion.png").is_file()
    assert len((tmp_path / "forecast.csv").read_text().splitlines()) == 4
    assert (tmp_path / "beam.svg").is_file()
    assert (tmp_path / "attention.png").is_file()
    assert (tmp_path / "hamlet.txt").read_text().startswith("To be, or not")
