"""pix2pix, CycleGAN and a level of a LapGAN: images per second in training, beside plain PyTorch of the same layers."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare_gan import CPU, PRECISIONS, Clock, Ends, Unwatched, clock_of
from measuring import Row, Settings, Side, compare, interleaved
from numpy.typing import NDArray
from plain_torch import use_threads
from plain_translators import PlainCycleGan, PlainLevel, PlainPix2Pix

from seqgen.config import (
    CycleGameConfig,
    CycleGanConfig,
    CycleGanNetworks,
    DomainsConfig,
    ImageFormat,
    LapGanConfig,
    LapGanGameConfig,
    LapGanNetworks,
    NumberFormat,
    PairConfig,
    PairedGameConfig,
    Pix2PixConfig,
    Pix2PixNetworks,
    TrainConfig,
)
from seqgen.data.image_domains import Domains
from seqgen.data.image_pairs import PairSet
from seqgen.data.images import ImageSet
from seqgen.tasks.gan.levels import ByLevel
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.gan.task import GanTask
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.paired import Paired
from seqgen.tasks.image_translation.unpaired import Unpaired
from seqgen.train.checkpoint import CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import MetricsLog
from seqgen.train.loop import Trainer
from seqgen.train.stop import StopRequest

IMAGES = 256
PIX2PIX, CYCLEGAN, LAPGAN = Pix2PixConfig(), CycleGanConfig(), LapGanConfig(levels=2)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Race:
    """One family and its size.

    Args:
        family (str): `pix2pix`, `CycleGAN` or `LapGAN`.
        side (int): pixels of a side.
        batch (int): images a step.
        steps (int): to be measured.
    """

    family: str
    side: int
    batch: int
    steps: int

    @property
    def pixels(self) -> Pixels:
        """Noise, which costs what images cost."""
        draw = np.random.Generator(np.random.PCG64(0))
        return draw.integers(0, 256, size=(IMAGES, 3, self.side, self.side), dtype=np.uint8)

    @property
    def form(self) -> ImageFormat:
        """What it is made of, and what is made."""
        return ImageFormat(channels=3, height=self.side, width=self.side)

    def speed(self, ends: list[float]) -> float:
        """Images per second, from the end of the second step on: the first ones choose kernels and allocate."""
        counted = ends[1:]
        return (len(counted) - 1) * self.batch / (counted[-1] - counted[0])


RACES = (Race("pix2pix", 64, 16, 12), Race("CycleGAN", 32, 8, 10), Race("LapGAN", 32, 64, 10))


def image_translation(settings: Settings) -> list[Row]:
    """Training of each family in both precisions."""
    use_threads(settings.threads)
    rows: list[Row] = []
    for usual in RACES:
        race, clock = dataclasses.replace(usual, steps=settings.amount(usual.steps)), clock_of(settings)
        sides: dict[str, Side] = {precision: partial(_ours, race, precision, clock) for precision in PRECISIONS}
        measured = interleaved(sides | {"peer": partial(_peer, race, clock)}, settings.repeats)
        for precision in PRECISIONS:
            name = f"train {race.family} {race.side} px {precision}"
            rows.append(compare(name, measured[precision], measured["peer"], "images/s", "plain PyTorch, fp32"))
    return rows


def _task(race: Race) -> tuple[GanTask, dict[str, bytes]]:
    """The task of a family that nobody watches, and the files of its model."""
    pixels, form, examples, batch = race.pixels, race.form, np.arange(IMAGES), race.batch
    others = pixels[::-1].copy()
    if race.family == "pix2pix":
        networks = Pix2PixNetworks(source_channels=3, images=form, direction="a2b", condition="none", pix2pix=PIX2PIX)
        model, game = TranslatorModel.new(networks, 0), PairedGameConfig()
        paired = Paired(model, PairSet(others, pixels), PairConfig(shift=0.0), game, examples)
        return GanTask(paired, Unwatched(), examples, game, batch_size=batch, seed=0), model.files()
    if race.family == "CycleGAN":
        model = TranslatorModel.new(CycleGanNetworks(images_a=form, images_b=form, cyclegan=CYCLEGAN), 0)
        domains, cycle = Domains(ImageSet(pixels, None, ()), ImageSet(others, None, ())), CycleGameConfig()
        unpaired = Unpaired(model, domains, DomainsConfig(), cycle, examples)
        return GanTask(unpaired, Unwatched(), examples, cycle, batch_size=batch, seed=0), model.files()
    gan, levels = GanModel.new(LapGanNetworks(images=form, lapgan=LAPGAN), 0), LapGanGameConfig(level=2)
    by_level = ByLevel(gan, ImageSet(pixels, None, ()), levels)
    return GanTask(by_level, Unwatched(), examples, levels, batch_size=batch, seed=0), gan.files()


def _ours(race: Race, precision: NumberFormat, clock: Clock) -> float:
    """The loop as the command runs it, averaged weights and log included, evaluations and saves not."""
    task, files = _task(race)
    usual: dict[str, Any] = {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "weight_decay": 0.0, "clip": 0.0}
    train = TrainConfig(steps=race.steps, batch_size=race.batch, precision=precision, **usual)
    ends, stop = Ends(clock), StopRequest(lambda message: None)
    with (
        tempfile.TemporaryDirectory() as run,
        closing(MetricsLog(Path(run) / "metrics.jsonl", every=10, size=0)) as log,
    ):
        store = CheckpointStore(Path(run), files)
        Trainer(task, train, store, log, listeners=[ends], stop=stop, group=Group(device=CPU), resume_command="").run()
    return race.speed(ends.times)


def _peer(race: Race, clock: Clock) -> float:
    torch.manual_seed(0)
    images = torch.from_numpy(race.pixels).float().div_(127.5).sub_(1.0)
    others, ends = images.flip(0), list[float]()
    pix2pix, cycle = PlainPix2Pix(3, race.form, PIX2PIX), PlainCycleGan(race.form, race.form, CYCLEGAN)
    level = PlainLevel(race.form, LAPGAN)
    for number in range(race.steps):
        some = slice(number * race.batch % IMAGES, number * race.batch % IMAGES + race.batch)
        if race.family == "pix2pix":
            pix2pix.step(others[some], images[some])
        elif race.family == "CycleGAN":
            cycle.step(images[some], others[some])
        else:
            level.step(images[some])
        ends.append(clock())
    return race.speed(ends)
