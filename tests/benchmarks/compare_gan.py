"""GANs: images per second in training and in sampling, beside the DCGAN of pytorch/examples with the same layers.

The example's widths, latent and batch: 64, 100 and 64. On one thread the clock is the processor's, which a busy machine
disturbs less.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from measuring import Row, Settings, Side, compare, interleaved
from plain_dcgan import PlainGame
from plain_torch import use_threads
from torch import Tensor

from seqgen.config import AdversarialConfig, GanConfig, GanNetworks, ImageFormat, NumberFormat, TrainConfig
from seqgen.data.images import ImageSet
from seqgen.gan.health import Diagnosis
from seqgen.tasks.gan.family import ByLabel
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.gan.task import GanTask
from seqgen.train.checkpoint import CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, MetricsLog, Record
from seqgen.train.loop import Trainer
from seqgen.train.machine import DTYPES
from seqgen.train.stop import StopRequest

CPU = torch.device("cpu")
# Pixels of a side, channels, steps to measure and images to sample.
SIZES = ((28, 1, 20, 2048), (32, 3, 16, 1024), (64, 3, 6, 256))
BATCH, IMAGES = 64, 512
CONFIG = GanConfig(latent_size=100, generator_size=64, discriminator_size=64)
PRECISIONS: tuple[NumberFormat, ...] = ("fp32", "bf16")

Clock = Callable[[], float]


class Ends(Listener):
    """When each step ended."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.times = clock, list[float]()

    def stepped(self, record: Record, total_steps: int | None) -> None:
        self.times.append(self.clock())


class Unwatched:
    """No evaluations: the peer has none."""

    criterion = None

    def evaluate(self, stop: Callable[[], bool]) -> tuple[dict[str, float], Diagnosis]:
        return {}, Diagnosis("healthy")

    def sample(self, seed: int) -> str:
        return ""

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        pass


def gan(settings: Settings) -> list[Row]:
    """Training in both precisions, and sampling, at each size."""
    use_threads(settings.threads)
    rows: list[Row] = []
    for side, channels, steps, count in SIZES:
        form = ImageFormat(channels=channels, height=side, width=side)
        rows += _training(settings, form, settings.amount(steps))
        rows += _sampling(settings, form, settings.amount(count))
    return rows


def clock_of(settings: Settings) -> Clock:
    """On one thread the processor's time."""
    return time.process_time if settings.threads == 1 else time.perf_counter


def _training(settings: Settings, form: ImageFormat, steps: int) -> list[Row]:
    draw = np.random.Generator(np.random.PCG64(0))
    shape = (IMAGES, form.channels, form.height, form.width)
    images, clock = ImageSet(draw.integers(0, 256, size=shape, dtype=np.uint8), None, ()), clock_of(settings)
    sides: dict[str, Side] = {
        precision: lambda precision=precision: _ours(form, images, steps, precision, clock)  # type: ignore[misc]
        for precision in PRECISIONS
    }
    measured = interleaved(sides | {"peer": lambda: _peer(form, images, steps, clock)}, settings.repeats)
    name, peer = f"train DCGAN {form.height} px", "the example, fp32"
    return [compare(f"{name} {p}", measured[p], measured["peer"], "images/s", peer) for p in PRECISIONS]


def _ours(form: ImageFormat, images: ImageSet, steps: int, precision: NumberFormat, clock: Clock) -> float:
    """The loop as the command runs it, averaged weights and log included, evaluations and saves not."""
    train = TrainConfig(
        steps=steps, batch_size=BATCH, lr=2e-4, beta1=0.5, beta2=0.999, weight_decay=0.0, clip=0.0, precision=precision
    )
    model = GanModel.new(GanNetworks(images=form, gan=CONFIG), seed=0)
    game, examples = AdversarialConfig(), np.arange(len(images))
    task = GanTask(ByLabel(model, images, game), Unwatched(), examples, game, batch_size=BATCH, seed=0)
    ends, stop = Ends(clock), StopRequest(lambda message: None)
    with (
        tempfile.TemporaryDirectory() as run,
        closing(MetricsLog(Path(run) / "metrics.jsonl", every=10, size=0)) as log,
    ):
        store = CheckpointStore(Path(run), model.files())
        Trainer(task, train, store, log, listeners=[ends], stop=stop, group=Group(device=CPU), resume_command="").run()
    return _images_per_second(ends.times)


def _peer(form: ImageFormat, images: ImageSet, steps: int, clock: Clock) -> float:
    """The example's loop; its images are read and scaled before it begins."""
    torch.manual_seed(0)
    game, ends = PlainGame(form, CONFIG), list[float]()
    whole = torch.from_numpy(images.pixels).float().div_(127.5).sub_(1.0)
    for step in range(steps):
        first = step * BATCH % IMAGES
        game.step(whole[first : first + BATCH])
        ends.append(clock())
    return _images_per_second(ends)


def _images_per_second(ends: list[float]) -> float:
    """From the end of the second step on: the first ones choose kernels and allocate."""
    counted = ends[1:]
    return (len(counted) - 1) * BATCH / (counted[-1] - counted[0])


def _sampling(settings: Settings, form: ImageFormat, count: int) -> list[Row]:
    """Bytes of images from a generator in evaluation mode, ours with each image's own random numbers."""
    model, clock = GanModel.new(GanNetworks(images=form, gan=CONFIG), seed=0), clock_of(settings)
    model.networks.eval()
    generator = PlainGame(form, CONFIG).generator.eval()

    def ours(precision: NumberFormat) -> Side:
        maker = Imagination(model, seed=0, number=DTYPES[precision])
        return lambda: count / _taken(clock, lambda: sum(len(some) for some in maker.images(range(count))))

    sides: dict[str, Side] = {precision: ours(precision) for precision in PRECISIONS}
    sides["peer"] = lambda: count / _taken(clock, lambda: _plain_images(generator, count))
    measured = interleaved(sides, settings.repeats)
    name, peer = f"sample DCGAN {form.height} px", "the example in eval(), fp32"
    return [compare(f"{name} {p}", measured[p], measured["peer"], "images/s", peer) for p in PRECISIONS]


def _taken(clock: Clock, action: Callable[[], int]) -> float:
    start = clock()
    action()
    return clock() - start


@torch.no_grad()
def _plain_images(generator: torch.nn.Module, count: int) -> int:
    """Images to bytes, a batch at a time."""
    for _ in range(0, count, BATCH):
        images = generator(torch.randn(BATCH, CONFIG.latent_size, 1, 1))
        images.add(1.0).mul(127.5).round().to(torch.uint8).numpy()
    return count
