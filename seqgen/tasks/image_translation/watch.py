"""How a network is doing that makes images of images: held-out pairs, and what the duel was like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property

from torch import Tensor

from seqgen.config import PairedGameConfig
from seqgen.data.epochs import Indices
from seqgen.data.image_pairs import PairSet
from seqgen.figures.mosaic import sketch
from seqgen.gan.health import Diagnosis, packed, unpacked
from seqgen.gan.translation_health import TranslationSignals, diagnose_translation
from seqgen.metrics.image_pairs import correlation, mean_distance
from seqgen.tasks.image_translation.judge import FEWEST, PairJudge, apart, extractor_for
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.paired import DUEL, Paired
from seqgen.tasks.image_translation.translate import made_of

STATISTICS_BATCHES, LEAST_STATISTICS_BATCHES = 16, 4
# In training so many held-out pairs at most are judged, and in short runs fewer; other noise is tried with a few.
MOST_JUDGED, LEAST_JUDGED = 1000, 100
TRIED = 64
# As many sketches as fit into 80 columns.
SHOWN = 5


class TranslationWatch:
    """See `seqgen.tasks.gan.family.Watch`.

    Args:
        family (Paired): what is watched.
        model (TranslatorModel): its networks.
        pairs (PairSet): inputs and targets.
        held_out (Indices): the pairs to judge by; without any the run is not judged.
        game (PairedGameConfig): what it is about.
        seed (int): the run's.
        validation_share (float): of the usual number of pairs to judge by.
    """

    def __init__(
        self,
        family: Paired,
        model: TranslatorModel,
        pairs: PairSet,
        held_out: Indices,
        game: PairedGameConfig,
        *,
        seed: int,
        validation_share: float = 1.0,
    ) -> None:
        self._family, self._way, self._game, self._seed = family, model.way(), game, seed
        self._statistics_batches = max(LEAST_STATISTICS_BATCHES, round(STATISTICS_BATCHES * validation_share))
        judged = held_out[: max(LEAST_JUDGED, round(MOST_JUDGED * validation_share))]
        self._sources, self._targets = pairs.sources[judged], pairs.targets[judged]
        by_distance = len(judged) < FEWEST or not game.adversarial
        self.criterion = None if not len(judged) else "valid_l1" if by_distance else "valid_frechet"
        self._history: list[TranslationSignals] = []
        self._diagnosis = Diagnosis("healthy")

    @cached_property
    def _judge(self) -> PairJudge:
        extractor = extractor_for(self._game.features, self._targets, self._way.device)
        return PairJudge(self._targets, extractor, self._seed)

    def evaluate(self, stop: Callable[[], bool]) -> tuple[dict[str, float], Diagnosis] | None:
        """Make images of held-out inputs with the averaged weights, and compare them with their targets."""
        self._family.settle(self._seed, self._statistics_batches)
        if stop():
            return None
        duel = self._family.duels[DUEL]
        watched = duel.watched()
        duel.forget()
        named = {f"{DUEL}_accuracy": watched["accuracy"]} | {name: watched[name] for name in ("sign", "image_gradient")}
        named = {name: value for name, value in named.items() if not math.isnan(value)}
        if self.criterion is None:
            return named, self._diagnosis
        made = made_of(self._way, self._sources, self._seed)
        quality = self._judge.judge(made)
        other = made_of(self._way, self._sources[:TRIED], self._seed + 1)
        targets_apart = max(apart(self._targets), 1e-12)
        signals = TranslationSignals(
            **watched,
            sensitivity=apart(made) / targets_apart,
            noise=float(mean_distance(made[:TRIED], other).mean()) / targets_apart,
            likeness=float(correlation(made, self._targets).mean()),
            distance=quality.l1,
            frechet=math.nan if quality.frechet is None else quality.frechet,
            floor=math.nan if quality.floor is None else quality.floor,
            hidden=math.nan,
        )
        self._history.append(signals)
        self._diagnosis = diagnose_translation(self._history)
        measured = {name: getattr(signals, name) for name in ("sensitivity", "noise", "likeness")} | quality.known()
        named |= {f"valid_{name}": value for name, value in measured.items() if not math.isnan(value)}
        return named, self._diagnosis

    def sample(self, seed: int) -> str:
        """See `Watch`: inputs, what is made of them, and their targets."""
        if self.criterion is None:
            return str(self._diagnosis)
        rows = [self._sources[:SHOWN], made_of(self._way, self._sources[:SHOWN], self._seed), self._targets[:SHOWN]]
        return "\n".join([str(self._diagnosis), *(sketch(row) for row in rows)])

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, and the signals of all of them."""
        signals = packed(self._history, TranslationSignals)
        return {"watched": self._family.duels[DUEL].state(), "signals": signals}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave."""
        self._history = unpacked(tensors["signals"], TranslationSignals)
        self._family.duels[DUEL].load_state(tensors["watched"])
