"""How a GAN is trained, whatever its family.

One step: the generators make images once; the discriminators move, given real and these images in batches of their own
(batch norm must not mix them); then the generators move, through the same images and the discriminators that just
moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from seqgen.config import AdversarialConfig
from seqgen.data.epochs import Indices, shuffled
from seqgen.errors import CollapsedError, UsageError
from seqgen.tasks.gan.family import Family, Watch


class GanTask:
    """Trains a family of networks (see `seqgen.train.task.Task`).

    Args:
        family (Family): its networks on their device already.
        watch (Watch): says how they are doing.
        examples (Indices): which real images, or pairs of them, are learned from, `(n,)`.
        config (AdversarialConfig): the game.
        batch_size (int): examples per step.
        seed (int): the run's.
        share (Callable[[int], slice]): which of the examples of a batch are computed in this process.

    Raises:
        UsageError: there is none for this process.
    """

    def __init__(
        self,
        family: Family,
        watch: Watch,
        examples: Indices,
        config: AdversarialConfig,
        *,
        batch_size: int,
        seed: int,
        share: Callable[[int], slice] = slice,
    ) -> None:
        self.players, self.criterion = family.players, watch.criterion
        self._family, self._watch, self._config = family, watch, config
        self._batch_size, self._rows = batch_size, share(batch_size)
        self._weight = len(range(batch_size)[self._rows]) / batch_size
        if not self._weight:
            raise UsageError(f"a batch of {batch_size} has nothing for some process", hint="a larger --batch-size")
        self._epochs = shuffled(examples, batch_size, seed)
        self.steps_per_epoch = self._epochs.steps_per_epoch

    def prepare(self, step: int) -> int:
        """Read real images, and make as many."""
        learns = any(self.pace(player, step) > 0 for player in self.players.keys() - self._family.duels.keys())
        self._family.play(self._epochs.batch(step)[self._rows], step=step, learns=learns)
        return self._batch_size

    def pace(self, player: str, step: int) -> float:
        """A discriminator moves at its own pace; a generator waits for its last step of several."""
        if not self._family.turn(player, step):
            return 0.0
        if player in self._family.duels:
            return self._config.discriminator_pace
        steps = self._config.discriminator_steps if self._config.discriminator_pace else 1
        return 1.0 if step % steps == steps - 1 else 0.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        """The player's loss over the batch, penalties included: this process's share of it."""
        assert parts == 1, "batch norm sees the batch as a whole"
        if player in self._family.duels:
            return self._weight * self._family.duels[player].discriminator_loss()
        return self._weight * self._family.generator_loss(player)

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        """The losses, and how often each discriminator was right that had a turn."""
        right = {f"{name}_accuracy": duel.accuracy for name, duel in self._family.duels.items() if name in losses}
        return {f"{player}_loss": loss for player, loss in losses.items()} | right

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Judge the averaged weights, and say how the run is doing.

        Raises:
            CollapsedError: it went wrong, and was asked not to go on then.
        """
        if (found := self._watch.evaluate(stop)) is None:
            return None
        measures, diagnosis = found
        if diagnosis.hopeless and self._config.on_collapse != "warn":
            raise CollapsedError(
                f"the GAN {diagnosis.state}: {diagnosis.found}",
                hint=f"try {diagnosis.advice}",
                roll_back=self._config.on_collapse == "rollback",
            )
        return measures | {"health": diagnosis.state}

    def sample(self, seed: int) -> str:
        """How the run is doing, and some images drawn with letters."""
        return self._watch.sample(seed)

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, and at all of them."""
        return self._watch.state()

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""
        self._watch.load_state(tensors)
