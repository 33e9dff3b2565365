"""How a CycleGAN is doing: both ways, and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqgen.config import CycleGameConfig, Direction
from seqgen.data.epochs import Indices
from seqgen.data.image_domains import Domains
from seqgen.figures.mosaic import sketch
from seqgen.gan.health import STATES, Diagnosis, packed, unpacked
from seqgen.gan.translation_health import TranslationSignals, diagnose_translation
from seqgen.tasks.image_translation.judge import extractor_for
from seqgen.tasks.image_translation.model import WAYS, TranslatorModel
from seqgen.tasks.image_translation.translate import made_of
from seqgen.tasks.image_translation.unpaired import DUELS, Unpaired
from seqgen.tasks.image_translation.unpaired_judge import UnpairedJudge

# In training so many held-out images of each domain at most are judged, and in short runs fewer.
MOST_JUDGED, LEAST_JUDGED = 500, 100
# As many sketches as fit into 80 columns.
SHOWN = 5


class UnpairedWatch:
    """See `seqgen.tasks.gan.family.Watch`.

    Args:
        family (Unpaired): what is watched.
        model (TranslatorModel): its networks.
        domains (Domains): the images of both.
        held_out (tuple[Indices, Indices]): those of A and of B to judge by; without any the run is not judged.
        game (CycleGameConfig): what it is about.
        share (Callable[[int], slice]): which of the parts of a state are this process's.
        seed (int): the run's.
        validation_share (float): of the usual number of images to judge by.
    """

    def __init__(
        self,
        family: Unpaired,
        model: TranslatorModel,
        domains: Domains,
        held_out: tuple[Indices, Indices],
        game: CycleGameConfig,
        *,
        share: Callable[[int], slice] = slice,
        seed: int,
        validation_share: float = 1.0,
    ) -> None:
        self._family, self._ways, self._game = family, model.ways, game
        self._seed, self._share = seed, share
        most = max(LEAST_JUDGED, round(MOST_JUDGED * validation_share))
        self._a, self._b = (
            side.pixels[rows[:most]] for side, rows in zip((domains.a, domains.b), held_out, strict=True)
        )
        judged = min(len(self._a), len(self._b))
        self.criterion = None if not judged else "valid_cycle" if judged < 4 else "valid_frechet"
        self._history: dict[Direction, list[TranslationSignals]] = {way: [] for way, _ in WAYS}
        self._diagnosis = Diagnosis("healthy")

    @cached_property
    def _judge(self) -> UnpairedJudge:
        name, device = self._game.features, self._ways["a2b"].device
        extractors = extractor_for(name, self._a, device), extractor_for(name, self._b, device)
        return UnpairedJudge(self._a, self._b, extractors, self._seed)

    def evaluate(self, stop: Callable[[], bool]) -> tuple[dict[str, float], Diagnosis] | None:
        """Translate held-out images there and back with the averaged weights, and compare them with real ones."""
        named: dict[str, float] = {}
        found, diagnoses = {}, []
        for way, back in WAYS:
            if stop():
                return None
            name_there = DUELS[way]
            duel = self._family.duels[name_there]
            watched = duel.watched()
            duel.forget()
            named |= {f"{name_there}_{name}": watched[name] for name in ("accuracy", "sign", "image_gradient")}
            if self.criterion is None:
                continue
            found[way] = result = self._judge.judge(self._ways[way], self._ways[back], way)
            self._history[way].append(result.signals(watched, alike=self._judge.alike))
            diagnosis = diagnose_translation(self._history[way])
            diagnoses.append(dataclasses.replace(diagnosis, found=diagnosis.found and f"{way}: {diagnosis.found}"))
            measured: dict[str, float | None] = {
                "cycle": result.cycle,
                "sensitivity": result.sensitivity,
                "likeness": result.likeness,
            }
            measured |= {"hidden": self._history[way][-1].hidden, "frechet": result.frechet, "floor": result.floor}
            named |= {f"valid_{name}_{way}": value for name, value in measured.items() if value is not None}
        if found:
            self._diagnosis = max(diagnoses, key=lambda diagnosis: STATES.index(diagnosis.state))
            named["valid_cycle"] = float(np.mean([result.cycle for result in found.values()]))
            distances = [result.frechet for result in found.values() if result.frechet is not None]
            if len(distances) == len(found):
                named["valid_frechet"] = float(np.mean(distances))
        return {name: value for name, value in named.items() if not math.isnan(value)}, self._diagnosis

    def sample(self, seed: int) -> str:
        """See `Watch`: images of both domains, and what is made of them."""
        lines = [str(self._diagnosis)]
        if self.criterion is not None:
            for (way, _), real in zip(WAYS, (self._a[:SHOWN], self._b[:SHOWN]), strict=True):
                lines += [sketch(real), sketch(made_of(self._ways[way], real, None))]
        return "\n".join(lines)

    def state(self) -> dict[str, Tensor]:
        """What was watched since the last evaluation, the signals of all of them, and the histories of fakes."""
        state: dict[str, Tensor] = {}
        for way, name in DUELS.items():
            kept = self._family.histories[name].state()
            state |= {
                f"{name}_watched": self._family.duels[name].state(),
                f"{name}_kept": kept,
                f"{name}_count": torch.tensor([[len(kept)]]),
                f"{way}_signals": packed(self._history[way], TranslationSignals),
            }
        return state

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` gave, joined over all processes: each takes its own part."""
        for way, name in DUELS.items():
            counts = tensors[f"{name}_count"].flatten().tolist()
            mine = self._share(len(counts))
            first = sum(counts[: mine.start or 0])
            self._family.duels[name].load_state(tensors[f"{name}_watched"][mine])
            self._family.histories[name].load_state(tensors[f"{name}_kept"][first : first + sum(counts[mine])])
            self._history[way] = unpacked(tensors[f"{way}_signals"], TranslationSignals)
