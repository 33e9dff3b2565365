"""What the training of a translation model brings: data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen.config import Seq2SeqConfig, TransformerPairsSettings, TranslationSettings, in_words
from seqgen.data.parallel import INDEX, ParallelCorpus, build_parallel
from seqgen.metrics.text import signatures
from seqgen.tasks.card import model_card, table
from seqgen.tasks.how_long import HowLong
from seqgen.tasks.translation.judge import judge
from seqgen.tasks.translation.kind import MEASURES
from seqgen.tasks.translation.model import TranslationConfig, TranslationModel, TranslationNetwork
from seqgen.tasks.translation.task import TranslationTask
from seqgen.tasks.translation.translate import Translator
from seqgen.train.recipe import Made
from seqgen.wording import counted


class TranslationRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (TranslationSettings | TransformerPairsSettings): what is wanted.
        warn (Callable[[str], None]): told about pairs that were passed over.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen translate"

    def __init__(
        self,
        settings: TranslationSettings | TransformerPairsSettings,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The files of both sides, and those to validate on."""
        text = self.settings.text
        return [*text.paths, *text.valid]

    def make(self, folder: Path) -> ParallelCorpus:
        """Tokenise the pairs, or reopen them."""
        return build_parallel(self.settings.text, self.settings.network.joint, folder, self._warn)

    open = make

    def build(self, data: ParallelCorpus) -> TranslationTrainee:
        """An untrained network, its weights a function of the seed."""
        settings = self.settings
        return TranslationTrainee(settings, data, TranslationModel.new(settings.network, data, settings.train.seed))


@dataclass(frozen=True)
class TranslationTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: TranslationSettings | TransformerPairsSettings
    corpus: ParallelCorpus
    model: TranslationModel

    @property
    def network(self) -> TranslationNetwork:
        """Encoder and decoder."""
        return self.model.network

    def task(self, share: Callable[[int], slice]) -> TranslationTask:
        """Batches of pairs."""
        settings = self.settings
        return TranslationTask(
            self.model,
            self.corpus,
            settings.text,
            batch_size=settings.train.batch_size,
            seed=settings.train.seed,
            share=share,
            validation_share=settings.train.validation_share,
        )

    def files(self) -> dict[str, bytes]:
        """`config.json` and the tokenizers."""
        return self.model.files()

    def described(self) -> tuple[str, str]:
        """Pairs and parameters; sizes."""
        corpus, network = self.corpus, self.model.network
        held = len(corpus.valid) if corpus.valid else 0
        parameters = sum(p.numel() for p in network.parameters())
        words = f"{network.vocab_size:,} tokens"
        if not network.config.joint:
            words = f"{network.source_vocab_size:,} source tokens, {network.vocab_size:,} target tokens"
        return (
            f"{len(corpus.train):,} pairs to train on, {held:,} to validate on, {words}; {parameters:,} parameters",
            f"{corpus.train.source_lengths.mean():.1f} source and {corpus.train.target_lengths.mean():.1f} target "
            f"tokens a pair; {in_words(network.config)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss, and BLEU and chrF of beam search, over the whole validation part."""
        if self.corpus.valid is None:
            return {}
        count = len(self.corpus.valid)
        note(f"judging the best weights: beam search over the whole validation part, {count:,} pairs")
        self.model.network.eval()
        translator = Translator([self.model], "beam")
        return judge(self.model, self.corpus, translator, stop, advance=HowLong(note, count))

    def summary(self, measures: Mapping[str, float]) -> str:
        """BLEU and loss."""
        return f"BLEU {measures['bleu']:.2f}, {measures['loss']:.4f} nats"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        text, config = self.settings.text, self.settings.network
        parameters = sum(p.numel() for p in self.model.network.parameters())
        held_out = f"validated on {_names(text.valid)}" if text.valid else "the last 2 % held out for validation"
        return model_card(
            made,
            kind=(
                f"{_described(config)}, {parameters:,} parameters.\n"
                "It knows the kind of sentence that it was trained on, and will make something up for any other."
            ),
            use=f"seqgen translate -m {made.name} --beam 5 < sentences.txt",
            data=(
                f"Trained on {_names(text.paths)}; {held_out}. The text and its licence are its owner's; the weights "
                "may repeat parts of it."
            ),
            measures=_measured(measures) if measures else "None: there was no validation part.",
        )


def _described(config: TranslationConfig) -> str:
    if isinstance(config, Seq2SeqConfig):
        layers = f"{config.num_layers} {config.cell.upper()} {'layer' if config.num_layers == 1 else 'layers'}"
        attends = "no attention" if config.attention == "none" else f"{config.attention} attention"
        reads = "bidirectional" if config.bidirectional else "unidirectional"
        return (
            f"A recurrent encoder-decoder for sentences: {layers} of {config.hidden_size} on each side, {reads} "
            f"encoder, {attends}"
        )
    return (
        f"A Transformer encoder-decoder for sentences: {config.num_layers} and "
        f"{counted(config.decoder_layers or config.num_layers, 'layer')} of {config.embed_size} with "
        f"{counted(config.num_heads, 'head')}"
    )


def _names(paths: tuple[str, ...]) -> str:
    return " and ".join(f"`{path}`" for path in paths)


def _measured(measures: Mapping[str, float]) -> str:
    columns = {
        "BLEU": f"{measures['bleu']:.2f}",
        "chrF2": f"{measures['chrf']:.2f}",
        "nats per token": f"{measures['loss']:.4f}",
        "perplexity per token": f"{measures['perplexity']:.3f}",
    }
    counted = "\n".join(f"- `{signature}`" for signature in signatures())
    return f"Beam 5 over the whole validation part:\n\n{table(columns)}\n\n{counted}"
