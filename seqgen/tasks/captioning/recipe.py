"""What `train-captioner` brings to the training: its data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from seqgen.config import CaptionerSettings, in_words
from seqgen.data.captioned_corpus import INDEX, CaptionedCorpus, build_captioned, clip_folders
from seqgen.metrics.captions import interval
from seqgen.nets.captioner import Captioner
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.judge import judge
from seqgen.tasks.captioning.kind import MEASURES
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.captioning.task import CaptionerTask
from seqgen.tasks.card import model_card, table
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.features.pretrained import open_features
from seqgen.tasks.how_long import HowLong
from seqgen.train.recipe import Made
from seqgen.wording import counted


class CaptionerRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (CaptionerSettings): what is wanted.
        warn (Callable[[str], None]): told about clips that were passed over.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen caption"

    def __init__(self, settings: CaptionerSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The lists of captions, and the folders of the clips."""
        clips = self.settings.clips
        return [*clips.paths, *([clips.valid_path] if clips.valid_path else []), *clip_folders(clips)]

    def make(self, folder: Path) -> CaptionedCorpus:
        """Read the clips, or reopen them; a frozen network reads each frame here, once."""
        features = self._features()
        return build_captioned(self.settings.clips, features.features if features else None, folder, self._warn)

    open = make

    def build(self, data: CaptionedCorpus) -> CaptionerTrainee:
        """An untrained network, its weights a function of the seed."""
        settings = self.settings
        model = CaptionerModel.new(
            settings.network, settings.clips, data.tokenizer, self._features(), settings.train.seed
        )
        return CaptionerTrainee(settings, data, model)

    def _features(self) -> FeatureModel | None:
        name = self.settings.network.frozen
        return open_features(name, None, torch.device("cpu")) if name else None


@dataclass(frozen=True)
class CaptionerTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: CaptionerSettings
    corpus: CaptionedCorpus
    model: CaptionerModel

    @property
    def network(self) -> Captioner:
        """All that is trained."""
        return self.model.network

    def task(self, share: Callable[[int], slice]) -> CaptionerTask:
        """Batches of clips."""
        train = self.settings.train
        return CaptionerTask(
            self.model,
            self.corpus,
            self.settings.clips,
            batch_size=train.batch_size,
            seed=train.seed,
            share=share,
            validation_share=train.validation_share,
        )

    def files(self) -> dict[str, bytes]:
        """`config.json` and the tokenizer."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Clips, captions and parameters; sizes."""
        train, held = self.corpus.train, len(self.corpus.valid) if self.corpus.valid else 0
        captions = sum(map(len, train.captions))
        return (
            f"{len(train):,} clips to train on, with {counted(captions, 'caption')}, {held:,} to validate on, "
            f"{self.network.vocab_size:,} pieces; {self._parameters:,} parameters",
            f"{train.lengths.mean():.1f} frames a clip, {self.model.image_size} high and wide; "
            f"{in_words(self.network.config)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss, and what captions by beam search are worth, over the whole validation part."""
        if (valid := self.corpus.valid) is None:
            return {}
        every = np.arange(len(valid))
        found = judge(self.model, valid, CaptionWriter(self.model), stop, every, HowLong(note, len(valid)))
        if found is None:
            return None
        low, high = interval(found.captions, found.references)
        scores = found.scores
        return {
            "loss": found.loss,
            "cider": scores.cider_d,
            "cider_low": low,
            "cider_high": high,
            "rouge_l": scores.rouge_l,
            "bleu_1": scores.bleu_1,
            "bleu_2": scores.bleu_2,
            "chrf": scores.chrf,
            "exact": scores.exact,
            "distinct": scores.distinct,
            "most_frequent": scores.most_frequent,
        }

    def summary(self, measures: Mapping[str, float]) -> str:
        """CIDEr-D, exact matches and nats."""
        return f"CIDEr-D {measures['cider']:.3f}, {measures['exact']:.1%} exact, {measures['loss']:.4f} nats"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        clips = self.settings.clips
        held = f"`{clips.valid_path}`" if clips.valid_path else "the part that the data names, or a tenth, held out"
        return model_card(
            made,
            kind=(
                f"{self._described}, {self._parameters:,} parameters.\n"
                "It says something of any clip, also of one that is of another kind than those it was trained on."
            ),
            use=f"seqgen caption -m {made.name} clip.gif",
            data=(
                f"Trained on `{clips.paths[0]}`; validated on {held}. The clips, the captions and their licence are "
                "their owner's."
            ),
            measures=self._measured(measures) if measures else "None: there was no validation part.",
        )

    @property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    @property
    def _described(self) -> str:
        config = self.settings.network
        layers = f"{counted(config.num_layers, 'layer')} of {config.hidden_size}"
        frames = f"features of `{config.frozen}`" if config.frozen else "a small CNN for each frame"
        if config.encoder == "mean":
            return f"A captioner of clips: {frames}, their mean, and a {config.cell.upper()} decoder ({layers})"
        looks = "no attention" if config.attention == "none" else f"{config.attention} attention to the frames"
        return f"A captioner of clips: {frames}, a {config.cell.upper()} encoder and decoder ({layers}), {looks}"

    def _measured(self, measures: Mapping[str, float]) -> str:
        columns = {
            "CIDEr-D": f"{measures['cider']:.3f}",
            "of 95 % of resamples": f"{measures['cider_low']:.3f} to {measures['cider_high']:.3f}",
            "ROUGE-L": f"{measures['rouge_l']:.3f}",
            "BLEU-1": f"{measures['bleu_1']:.1f}",
            "BLEU-2": f"{measures['bleu_2']:.1f}",
            "chrF2": f"{measures['chrf']:.1f}",
            "exact": f"{measures['exact']:.1%}",
            "nats per token": f"{measures['loss']:.4f}",
        }
        return (
            f"Beam 5 over the whole validation part, {len(self.corpus.valid or ()):,} clips, each with all of its "
            f"captions:\n\n{table(columns)}\n\n{measures['distinct']:.0%} of the captions are different ones; the most "
            f"frequent stands for {measures['most_frequent']:.0%} of the clips."
        )
