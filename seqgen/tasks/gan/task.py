"""How a GAN is trained, and how it watches itself.

One step: the generator makes images once; the discriminator moves, seeing real and these images in batches of their own
(batch norm must not mix them); then the generator moves, through the same images and the discriminator that just moved.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqgen.config import AdversarialConfig, GanLoss
from seqgen.data.epochs import Indices, shuffled
from seqgen.data.images import ImageSet
from seqgen.errors import CollapsedError
from seqgen.figures.mosaic import sketch
from seqgen.gan.augment import augment
from seqgen.gan.health import Diagnosis, Signals, diagnose
from seqgen.gan.losses import discriminator_loss, generator_loss, gradient_penalty, needs_real, squared_slope
from seqgen.gan.statistics import measure_statistics
from seqgen.seeds import derive
from seqgen.tasks.gan.imagine import to_bytes
from seqgen.tasks.gan.judge import Judge
from seqgen.tasks.gan.kind import MEASURED_ON
from seqgen.tasks.gan.model import GanModel

STATISTICS_BATCHES, LEAST_STATISTICS_BATCHES, STATISTICS_IMAGES = 16, 4, 256
SHOWN = 6
WATCHED = ("accuracy", "sign", "image_gradient")
JUDGED = ("spread", "precision", "recall", "different_bins", "missing", "frechet", "floor", "closeness")
# Losses that compare logits, which have no zero of their own.
CRITICS: tuple[GanLoss, ...] = ("relativistic", "wasserstein-gp")
# Stands for not-a-number in a checkpoint, which holds finite values only.
UNKNOWN = -1.0


class GanTask:
    """Trains a generator against a discriminator (see `seqgen.train.task.Task`).

    Args:
        model (GanModel): its networks on their device already.
        images (ImageSet): the real images.
        judge (Judge): what samples are compared by.
        config (AdversarialConfig): the game.
        batch_size (int): images per step.
        seed (int): the run's.
        validation_share (float): of the usual number of images to measure batch norm's statistics with.
    """

    criterion = f"{MEASURED_ON}_frechet"

    def __init__(
        self,
        model: GanModel,
        images: ImageSet,
        judge: Judge,
        config: AdversarialConfig,
        *,
        batch_size: int,
        seed: int,
        validation_share: float = 1.0,
    ) -> None:
        self.players: Mapping[str, nn.Module] = {"discriminator": model.discriminator, "generator": model.generator}
        self._model, self._images, self._judge, self._config = model, images, judge, config
        self._batch_size, self._seed = batch_size, seed
        self._statistics_batches = max(LEAST_STATISTICS_BATCHES, round(STATISTICS_BATCHES * validation_share))
        self._epochs = shuffled(np.arange(len(images)), batch_size, seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch
        self._real = self._fake = torch.empty(0)
        self._labels: Tensor | None = None
        self._asked = None if images.labels is None else np.sort(images.labels)  # in whatever order they came
        self._watched = torch.zeros(1, len(WATCHED) + 1)
        self._accuracy = 0.0
        self._last = torch.empty(0)
        self._history: list[Signals] = []
        self._diagnosis = Diagnosis("healthy")

    # Learning ---------------------------------------------------------------------------------------------

    def prepare(self, step: int) -> int:
        """Read real images, and make as many of the same classes."""
        self._real, self._labels = self._read(self._epochs.batch(step))
        latents = torch.randn(self._batch_size, self._model.generator.latent_size, device=self._real.device)
        with torch.set_grad_enabled(self.pace("generator", step) > 0):
            self._fake = self._model.generator(latents, self._labels).float()
        if self._fake.requires_grad:
            self._fake.register_hook(self._watch_gradient)  # type: ignore[no-untyped-call]
        return self._batch_size

    def _read(self, indices: Indices) -> tuple[Tensor, Tensor | None]:
        images, labels = self._images.read(indices)
        device = self._model.device
        told = labels is not None and bool(self._model.classes)
        return images.to(device), labels.to(device) if told and labels is not None else None

    def pace(self, player: str, step: int) -> float:
        """The discriminator moves `lr_ratio` times as fast; the generator waits for its last step of several."""
        steps = self._config.discriminator_steps
        if player == "discriminator":
            return self._config.lr_ratio
        return 1.0 if step % steps == steps - 1 else 0.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The player's loss over the batch, penalties included."""
        assert parts == 1, "batch norm sees the batch as a whole"
        return self._discriminator_loss() if player == "discriminator" else self._generator_loss()

    def _discriminator_loss(self) -> Tensor:
        config = self._config
        real = augment(self._real, config.augment).detach().requires_grad_(config.r1 > 0)
        fake = augment(self._fake.detach(), config.augment).requires_grad_(config.r2 > 0)
        on_real, on_fake = self._discriminate(real), self._discriminate(fake)
        loss = discriminator_loss(config.loss, on_real, on_fake)
        if config.r1 > 0:
            loss = loss + config.r1 / 2 * squared_slope(on_real, real)
        if config.r2 > 0:
            loss = loss + config.r2 / 2 * squared_slope(on_fake, fake)
        if config.loss == "wasserstein-gp":
            shares = torch.rand(len(real), device=real.device)
            loss = loss + config.gradient_penalty * gradient_penalty(self._discriminate, real, fake, shares)
        self._watch(on_real.detach(), on_fake.detach())
        return loss

    def _generator_loss(self) -> Tensor:
        config = self._config
        on_fake = self._discriminate(augment(self._fake, config.augment))
        on_real = self._discriminate(augment(self._real, config.augment)) if needs_real(config.loss) else None
        return generator_loss(config.loss, on_fake, on_real)

    def _discriminate(self, images: Tensor) -> Tensor:
        logits: Tensor = self._model.discriminator(images, self._labels)
        return logits.float()

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Both losses, and how often the discriminator was right."""
        return {f"{player}_loss": loss for player, loss in losses.items()} | {"discriminator_accuracy": self._accuracy}

    # Watching ---------------------------------------------------------------------------------------------

    def _watch(self, on_real: Tensor, on_fake: Tensor) -> None:
        """Remember how often the discriminator was right. What compares has no zero: there the pairs count."""
        middle = 0.5 if self._config.loss == "least-squares" else 0.0
        if self._config.loss in CRITICS:
            middle = float(on_fake.mean() + on_real.mean()) / 2
        real = (on_real > middle).float().mean()
        self._accuracy = float(real + (on_fake < middle).float().mean()) / 2
        self._watched += torch.tensor([self._accuracy, 2 * float(real) - 1, 0.0, 1.0])

    def _watch_gradient(self, gradient: Tensor) -> None:
        """Remember what the generator is told: the norm of the gradient at one image."""
        self._watched[0, WATCHED.index("image_gradient")] += float(gradient.flatten(1).norm(dim=1).sum())

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Make images with the averaged weights, compare them with real ones, and say how the run is doing.

        Raises:
            CollapsedError: it went wrong, and was asked not to go on then.
        """
        self._measure_statistics()
        samples, labels = self._samples(self._judge.count)
        if stop():
            return None
        measures = self._judge.judge(samples, labels)
        signals = Signals(
            **self._mean_watched(), change=self._change(samples), **{name: measures[name] for name in JUDGED}
        )
        self._history.append(signals)
        self._diagnosis = diagnose(self._history)
        self._watched = torch.zeros_like(self._watched)
        if self._diagnosis.hopeless and self._config.on_collapse != "warn":
            raise CollapsedError(
                f"the GAN {self._diagnosis.state}: {self._diagnosis.seen}",
                hint=f"try {self._diagnosis.advice}",
                roll_back=self._config.on_collapse == "rollback",
            )
        return (
            _named(signals)
            | {f"{MEASURED_ON}_{name}": value for name, value in measures.items()}
            | {"health": self._diagnosis.state}
        )

    def _measure_statistics(self) -> None:
        """Batch norm's statistics of the averaged weights, which no step has measured."""
        generator = torch.Generator().manual_seed(derive(self._seed, "statistics"))
        batches = (self._drawn(STATISTICS_IMAGES, generator) for _ in range(self._statistics_batches))
        measure_statistics(self._model.generator, batches)

    def _drawn(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Latents, and labels as frequent as among the real images."""
        latents = torch.randn(count, self._model.generator.latent_size, generator=generator)
        device = self._model.device
        if self._asked is None or not self._model.classes:
            return latents.to(device), None
        chosen = torch.randint(len(self._asked), (count,), generator=generator)
        return latents.to(device), torch.from_numpy(self._asked[chosen.numpy()]).to(device)

    @torch.no_grad()
    def _samples(self, count: int) -> tuple[NDArray[np.uint8], Indices | None]:
        """The same latents at every evaluation, with the labels that were asked for."""
        generator = torch.Generator().manual_seed(derive(self._seed, "judged"))
        made, asked = [], []
        for first in range(0, count, STATISTICS_IMAGES):
            latents, labels = self._drawn(min(STATISTICS_IMAGES, count - first), generator)
            made.append(to_bytes(self._model.generator(latents, labels)))
            if labels is not None:
                asked.append(labels.cpu().numpy())
        return np.concatenate(made), np.concatenate(asked) if asked else None

    def _mean_watched(self) -> dict[str, float]:
        """The means since the last evaluation, and over how many steps; a critic has no accuracy to speak of."""
        *sums, steps = self._watched[0].tolist()
        means = dict(zip(WATCHED, (total / max(steps, 1.0) for total in sums), strict=True))
        return means | {"steps": steps} | ({"accuracy": math.nan} if self._config.loss in CRITICS else {})

    def _change(self, samples: NDArray[np.uint8]) -> float:
        """How far the same latents moved since the last evaluation, as a share of the distance between two of them."""
        now = torch.from_numpy(samples[:STATISTICS_IMAGES]).float()
        before, self._last = self._last, now
        if not len(before):
            return 1.0
        apart = (now - now.roll(1, dims=0)).flatten(1).norm(dim=1).mean()
        return float((now - before).flatten(1).norm(dim=1).mean() / apart.clamp_min(1e-12))

    def sample(self, seed: int) -> str | None:
        """How the run is doing, and some images drawn with letters."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            images = to_bytes(self._model.generator(*self._drawn(SHOWN, generator)))
        judge = self._judge
        compared = f"Fréchet distance on {judge.looks.identity}: {judge.count:,} samples, as many training images"
        return f"{self._diagnosis} ({compared})\n{sketch(images)}"

    # State ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, the signals of all evaluations, and the last samples."""
        history = [dataclasses.astuple(signals) for signals in self._history]
        signals = torch.tensor(history, dtype=torch.float64).reshape(-1, len(dataclasses.fields(Signals)))
        return {"watched": self._watched, "signals": torch.nan_to_num(signals, nan=UNKNOWN), "last": self._last}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""
        rows = tensors["signals"].tolist()
        self._history = [Signals(*(math.nan if value == UNKNOWN else value for value in row)) for row in rows]
        self._watched, self._last = tensors["watched"].clone(), tensors["last"].clone()


def _named(signals: Signals) -> dict[str, float]:
    """What was watched in training, as the log names it; a critic has no accuracy."""
    named = {
        "discriminator_accuracy": signals.accuracy,
        "sign": signals.sign,
        "image_gradient": signals.image_gradient,
        "change": signals.change,
    }
    return {name: value for name, value in named.items() if not math.isnan(value)}
