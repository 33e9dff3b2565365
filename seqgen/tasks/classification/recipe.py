"""What `train-classifier` brings to the training: its data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen.config import ClassifierSettings, in_words
from seqgen.data.labelled_corpus import INDEX, LabelledCorpus, build_labelled
from seqgen.data.spread import spread
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.data.tokens import vocab_size
from seqgen.metrics.labels import fit_temperature
from seqgen.nets.classifier import Classifier
from seqgen.tasks.card import model_card, table
from seqgen.tasks.classification.judge import find
from seqgen.tasks.classification.kind import MEASURES
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.classification.task import ClassifierTask
from seqgen.tasks.how_long import HowLong
from seqgen.train.recipe import Made
from seqgen.wording import counted


class ClassifierRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (ClassifierSettings): what is wanted.
        warn (Callable[[str], None]): told about texts that were passed over, and what is odd.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen classify"

    def __init__(self, settings: ClassifierSettings, warn: Callable[[str], None] = lambda message: None) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The files to train on, and the file to validate on."""
        text = self.settings.text
        return [*text.paths, *([text.valid] if text.valid_fraction is None else [])]

    def make(self, folder: Path) -> LabelledCorpus:
        """Read the texts, or reopen them."""
        letters = self.settings.network.char_size > 0
        return build_labelled(self.settings.text, letters=letters, directory=folder, warn=self._warn)

    open = make

    def build(self, data: LabelledCorpus) -> ClassifierTrainee:
        """An untrained network, its weights a function of the seed."""
        settings = self.settings
        return ClassifierTrainee(settings, data, ClassifierModel.new(settings.network, data, settings.train.seed))


@dataclass(frozen=True)
class ClassifierTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: ClassifierSettings
    corpus: LabelledCorpus
    model: ClassifierModel

    @property
    def network(self) -> Classifier:
        """All of it."""
        return self.model.network

    def task(self, share: Callable[[int], slice]) -> ClassifierTask:
        """Batches of labelled texts."""
        train = self.settings.train
        return ClassifierTask(
            self.model,
            self.corpus,
            self.settings.text,
            batch_size=train.batch_size,
            seed=train.seed,
            share=share,
            validation_share=train.validation_share,
        )

    def files(self) -> dict[str, bytes]:
        """`config.json` and the tokenizers."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Texts, classes and parameters; sizes."""
        corpus, reader = self.corpus, self.corpus.reader
        held = len(corpus.valid) if corpus.valid else 0
        what = "sentences" if reader.per_token else "texts"
        return (
            f"{len(corpus.train):,} {what} to train on, {held:,} to validate on, {len(corpus.classes)} classes, "
            f"{self._tokens}; {self._parameters:,} parameters",
            f"the largest class has {corpus.class_counts.max() / corpus.class_counts.sum():.0%} of the labels; "
            f"{in_words(self.network.config)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """Fit the temperature on the whole validation part, and measure the model there."""
        if (valid := self.corpus.valid) is None:
            return {}
        found = find(self.model, valid, spread(len(valid), len(valid)), stop, HowLong(note, len(valid)))
        if found is None:
            return None
        known = found.known
        temperature = fit_temperature(found.log_probs[known], found.truth[known]) if known.any() else 1.0
        self.model.temperature = temperature
        return {
            **found.measures(temperature),
            "calibration_error": found.calibration_error(temperature),
            "calibration_error_before": found.calibration_error(1.0),
            "temperature": temperature,
        }

    def summary(self, measures: Mapping[str, float]) -> str:
        """Accuracy, macro-F1 and nats."""
        return f"{measures['accuracy']:.2%} right, macro-F1 {measures['macro_f1']:.4f}, {measures['loss']:.4f} nats"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        text = self.settings.text
        held = f"`{text.valid}`" if text.valid_fraction is None else f"{text.valid_fraction:.0%} of the texts, held out"
        return model_card(
            made,
            kind=(
                f"{_described(self.settings)} that tells {len(self.corpus.classes)} classes apart, "
                f"{self._parameters:,} parameters.\nIt names one of them for any text, also for one that is of none."
            ),
            use=f"seqgen classify -m {made.name} < texts.txt",
            data=(
                f"Trained on {', '.join(f'`{path}`' for path in text.paths)}; validated on {held}. The texts and their "
                "licence are their owner's."
            ),
            measures=self._measured(measures) if measures else "None: there was no validation part.",
        )

    @property
    def _parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    @property
    def _tokens(self) -> str:
        tokenizer = self.corpus.reader.tokenizer
        words, letters = isinstance(tokenizer, WordTokenizer), isinstance(tokenizer, CharTokenizer)
        return counted(vocab_size(tokenizer), "word" if words else "character" if letters else "piece")

    def _measured(self, measures: Mapping[str, float]) -> str:
        columns = {
            "accuracy": f"{measures['accuracy']:.4f}",
            "macro-F1": f"{measures['macro_f1']:.4f}",
            "nats per label": f"{measures['loss']:.4f}",
            "calibration error": f"{measures['calibration_error']:.4f}",
            "before the temperature": f"{measures['calibration_error_before']:.4f}",
        }
        if "unknown_accuracy" in measures:
            columns["accuracy on unknown words"] = f"{measures['unknown_accuracy']:.4f}"
        return (
            f"On the whole validation part, {len(self.corpus.valid or ()):,} texts:\n\n{table(columns)}\n\n"
            f"The temperature, {measures['temperature']:.3f}, was fitted on these same texts."
        )


def _described(settings: ClassifierSettings) -> str:
    network = settings.network
    layers = f"{counted(network.num_layers, 'layer')} of {network.hidden_size}"
    ways = "bidirectional" if network.bidirectional else "unidirectional"
    cell = "Transformer" if network.cell == "transformer" else network.cell.upper()
    return f"A {ways} {cell} ({layers})"
