"""The options of `evaluate`, for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen.config.captioning import CAPTION_SEARCH
from seqgen.config.decoding import SearchConfig
from seqgen.config.fields import Config, same_setting, setting
from seqgen.config.text import ParallelConfig

TEXT, PAIRS, LABELS = "Language models", "Translation models", "Classifiers"
SERIES, CLIPS, IMAGES = "Forecasters", "Captioners", "Images"
SEARCH = SearchConfig()


@dataclass(frozen=True, kw_only=True)
class TextEvaluation(Config):
    """Of a language model, on a text."""

    tail: float = setting(1.0, TEXT, "Only the last part of the text, as --valid of train-lm keeps it.", low=0, high=1)
    dynamic: float = setting(
        0.0,
        TEXT,
        "Go on learning from what was read, at this learning rate (0.03, say); 0: do not.",
        low=0,
        metavar="LR",
    )


@dataclass(frozen=True, kw_only=True)
class PairsEvaluation(Config):
    """Of a translation model, on sentence pairs."""

    source_key: str = same_setting(ParallelConfig, "source_key", "")
    target_key: str = same_setting(ParallelConfig, "target_key", "")
    beam: int = setting(SEARCH.beam_size, PAIRS, "Width of the beam.", metavar="K")
    length_penalty: float = setting(SEARCH.length_penalty, PAIRS, "Divide scores by ((5 + n) / 6) ** A.")
    search_errors: bool = setting(False, PAIRS, "How often greedy and beam miss the proven optimum.")
    min_length: int = setting(SEARCH.min_length, PAIRS, "Tokens at least.")
    max_nodes: int = setting(SEARCH.max_nodes, PAIRS, "Prefixes a proof may expand for a sentence.")
    max_seconds: float = setting(SEARCH.max_seconds, PAIRS, "Seconds it may take for a sentence.")

    @property
    def search(self) -> SearchConfig:
        """The search that is judged."""
        return SearchConfig(
            length_penalty=self.length_penalty,
            min_length=self.min_length,
            beam_size=self.beam,
            max_nodes=self.max_nodes,
            max_seconds=self.max_seconds,
        )

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: only proofs have budgets."""
        return {} if self.search_errors else dict.fromkeys(("max_nodes", "max_seconds"), "without --search-errors")


@dataclass(frozen=True, kw_only=True)
class LabelsEvaluation(Config):
    """Of a classifier, on labelled texts."""

    text_column: str = setting("", LABELS, "Column or key of a table's texts; or its number.", metavar="NAME")
    label_column: str = setting("", LABELS, "Column or key of its labels; or its number.", metavar="NAME")
    confusion: Path | None = setting(None, LABELS, "Draw which class is taken for which: a .png, .svg or .pdf.")


@dataclass(frozen=True, kw_only=True)
class ForecastEvaluation(Config):
    """Of a forecaster, on a table of its series."""

    columns: tuple[str, ...] = setting((), SERIES, "Column to forecast; may be repeated.", "--column", metavar="NAME")
    extra: tuple[str, ...] = setting((), SERIES, "Column that is read as well.", "--with", metavar="NAME")
    time_column: str = setting("", SERIES, "Column of dates; else the first that has some.", metavar="NAME")
    group: str = setting("", SERIES, "Column that tells several series apart.", metavar="NAME")
    last: int = setting(0, SERIES, "Judge the last N rows; 0: those that are new to the model.", low=0, metavar="N")


@dataclass(frozen=True, kw_only=True)
class CaptionsEvaluation(Config):
    """Of a captioner, on clips with captions."""

    file_key: str = setting("", CLIPS, "Key or column of the files of clips.", metavar="NAME")
    caption_key: str = setting("", CLIPS, "Key or column of their captions.", metavar="NAME")
    beam: int = same_setting(PairsEvaluation, "beam", CAPTION_SEARCH.beam_size)
    length_penalty: float = same_setting(PairsEvaluation, "length_penalty", CAPTION_SEARCH.length_penalty)

    @property
    def search(self) -> SearchConfig:
        """The search that is judged."""
        return SearchConfig(length_penalty=self.length_penalty, beam_size=self.beam)


@dataclass(frozen=True, kw_only=True)
class SetsEvaluation(Config):
    """Of one set of images by another."""

    features: str = setting(
        "",
        IMAGES,
        "What compares images: digits, efficientnet, inception, or a model of train-features.",
        metavar="NETWORK",
    )
    weights: Path | None = setting(None, IMAGES, "Weights file of --features inception.")
    save_statistics: Path | None = setting(None, IMAGES, "Write mean and covariance of the real images (npz).")


@dataclass(frozen=True, kw_only=True)
class GanEvaluation(Config):
    """Of a GAN, by real images."""

    features: str = same_setting(SetsEvaluation, "features", "")
    weights: Path | None = same_setting(SetsEvaluation, "weights", None)
    samples: int = setting(0, IMAGES, "Images a GAN makes; 0: half as many as are real.", low=0)
    save_statistics: Path | None = same_setting(SetsEvaluation, "save_statistics", None)


@dataclass(frozen=True, kw_only=True)
class ImageTranslationEvaluation(Config):
    """Of a network that makes images of images, by pairs or by the images of two domains."""

    features: str = same_setting(SetsEvaluation, "features", "")
    weights: Path | None = same_setting(SetsEvaluation, "weights", None)
    features_a: str = setting("", IMAGES, "Of a CycleGAN: the same for its images of A.", metavar="NETWORK")
    aligned: bool = setting(False, IMAGES, "Of a CycleGAN: image i of B is what image i of A should become.")
    reader: str = setting("", IMAGES, "A pix2pix model that makes label maps of images, for one back.", metavar="MODEL")


@dataclass(frozen=True, kw_only=True)
class NoChoices(Config):
    """Of a kind that has no options."""
