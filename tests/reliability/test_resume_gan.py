"""GANs too: interrupted and resumed equals uninterrupted, bit for bit, both players, averages and what was watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from tiny_runs import Run, SignalAt, assert_same_run, checkpoint_paths, records

from seqgen.cli.commands import gan_train
from seqgen.config import AdversarialConfig, GanArchitecture, GanConfig, GanSettings, ImageConfig, TrainConfig
from seqgen.errors import Interrupted
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.model import GanModel

STEPS = 14


class Kind(NamedTuple):
    """A kind of run."""

    arch: GanArchitecture
    ema: float
    network: dict[str, Any]
    game: dict[str, Any]


KINDS = [
    Kind("cgan", 0.9, {}, {"augment": "all"}),
    Kind("dcgan", 0.0, {"body": "spectral"}, {"loss": "hinge", "discriminator_steps": 2}),
    Kind("dcgan", 0.9, {"body": "residual"}, {"loss": "relativistic", "r1": 1.0, "r2": 1.0}),
]
# Before the first step, after it, at a save, at an evaluation, in the second epoch.
MOMENTS = [0, 1, 4, 6, 11]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m in (0, 1, 4) else m for m in MOMENTS]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, draw = tmp_path_factory.mktemp("images") / "images.npz", np.random.Generator(np.random.PCG64(0))
    pixels = draw.integers(0, 256, (64, 8, 8)).astype(np.uint8)
    np.savez(path, images=pixels, labels=np.arange(64) % 3)
    return path


def run_of(kind: Kind, images: Path, directory: Path) -> Run:
    settings = GanSettings(
        images=ImageConfig(paths=(str(images),)),
        network=GanConfig(arch=kind.arch, latent_size=4, generator_size=4, discriminator_size=4, **kind.network),
        game=AdversarialConfig(features="pixels", **kind.game),
        train=TrainConfig(
            steps=STEPS,
            batch_size=8,
            lr=1e-3,
            beta1=0.5,
            warmup_steps=0,
            eval_every=6,
            save_every=4,
            log_every=1,
            ema=kind.ema,
            precision="fp32",
            device="cpu",
            threads=1,
        ),
    )
    return Run(settings, directory, command=gan_train.COMMAND)


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """A finished run of each kind, made once."""
    made: dict[int, Run] = {}

    def get(number: int) -> Run:
        if number not in made:
            made[number] = run_of(KINDS[number], images, tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[number].go(patch)
        return made[number]

    return get


def samples(directory: Path) -> bytes:
    maker = Imagination(GanModel.load(str(directory), torch.device("cpu")), seed=1)
    return np.concatenate(list(maker.images(range(5)))).tobytes()


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    number: int,
    step: int,
    images: Path,
    undisturbed: Callable[[int], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, run = undisturbed(number), run_of(KINDS[number], images, tmp_path / "run")
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, listener=SignalAt(step))
    assert caught.value.hint == f"go on with: seqgen gan-train --resume --out {run.directory}"
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert run.samples == reference.samples
    assert samples(run.directory) == samples(reference.directory)


def test_the_runs_compared_here_pass_an_epoch_and_are_judged(undisturbed: Callable[[int], Run]) -> None:
    lines = records(undisturbed(0).directory)
    assert [line["step"] for line in lines if "epoch" in line] == list(range(1, STEPS + 1))
    assert max(line.get("epoch", 0.0) for line in lines) > 1.0
    assert [line["step"] for line in lines if "health" in line] == [0, 6, 12, STEPS]
