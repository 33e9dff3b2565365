"""What the training of a language model brings: data, network, task, measures and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqgen.config import LanguageModelSettings, RecurrentConfig, TransformerTextSettings, in_words
from seqgen.data.corpus import INDEX, Corpus, build_corpus
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.tasks.card import model_card, table
from seqgen.tasks.how_long import HowLong
from seqgen.tasks.language.gradient_watch import GradientWatch
from seqgen.tasks.language.judge import evaluate, unknown_warning
from seqgen.tasks.language.kind import MEASURES
from seqgen.tasks.language.model import LanguageConfig, LanguageNetwork, model_files, new_network
from seqgen.tasks.language.task import LanguageModelTask
from seqgen.train.recipe import Made
from seqgen.wording import counted


class LanguageModelRecipe:
    """See `seqgen.train.recipe.Recipe`.

    Args:
        settings (LanguageModelSettings | TransformerTextSettings): what is wanted.
        warn (Callable[[str], None]): told about text that was passed over, and gradients that vanish.
    """

    index = INDEX
    measured_on = "valid"
    measures = MEASURES
    used_by = "seqgen sample"

    def __init__(
        self,
        settings: LanguageModelSettings | TransformerTextSettings,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.settings, self._warn = settings, warn

    def sources(self) -> list[str]:
        """The text, and that to validate on."""
        text = self.settings.text
        return [*text.paths, *([] if text.valid_fraction is not None else [text.valid])]

    def make(self, folder: Path) -> Corpus:
        """Tokenise the text, or reopen it."""
        return build_corpus(self.settings.text, folder, self._warn)

    open = make

    def build(self, data: Corpus) -> LanguageTrainee:
        """An untrained network, its weights a function of the seed."""
        settings = self.settings
        # What a step reads of each lane: as far as the gradient flows back, or all that a Transformer reads.
        chunk = settings.text.bptt if isinstance(settings, LanguageModelSettings) else settings.network.context
        if (tokens := len(data.train)) < chunk:
            length = counted(tokens, "token")
            self._warn(f"the text has {length}, fewer than one chunk of {chunk}: trained on as one chunk")
        network = new_network(settings.network, data.tokenizer, settings.train.seed)
        return LanguageTrainee(settings, data, network, chunk, self._warn)


@dataclass(frozen=True)
class LanguageTrainee:
    """See `seqgen.train.recipe.Trainee`."""

    settings: LanguageModelSettings | TransformerTextSettings
    corpus: Corpus
    network: LanguageNetwork
    chunk: int
    warn: Callable[[str], None]

    def task(self, share: Callable[[int], slice]) -> LanguageModelTask:
        """Lanes of text, a chunk at a time."""
        train = self.settings.train
        return LanguageModelTask(
            self.network,
            self.corpus,
            self.chunk,
            batch_size=train.batch_size,
            seed=train.seed,
            share=share,
            watch=self._watch(),
            validation_share=train.validation_share,
        )

    def _watch(self) -> GradientWatch | None:
        settings, network = self.settings, self.network
        if not (isinstance(settings, LanguageModelSettings) and isinstance(network, RecurrentNetwork)):
            return None
        every = settings.watch.watch_gradients
        return GradientWatch(network, every, self.warn) if every else None

    def files(self) -> dict[str, bytes]:
        """`config.json` and the tokenizer."""
        return model_files(self.network, self.corpus.tokenizer)

    def described(self) -> tuple[str, str]:
        """Tokens and parameters; operations and sizes."""
        network, corpus = self.network, self.corpus
        held = len(corpus.valid) if corpus.valid else 0
        parameters = sum(p.numel() for p in network.parameters())
        return (
            f"{len(corpus.train):,} tokens to train on, {held:,} to validate on, {network.vocab_size} different; "
            f"{parameters:,} parameters",
            f"{network.operations_per_token / 1e6:.2f} MFLOP per token forward; {in_words(network.config)}",
        )

    def judge(self, note: Callable[[str], None], stop: Callable[[], bool]) -> dict[str, float] | None:
        """One pass over the whole validation part, in which unknown tokens are counted."""
        valid = self.corpus.valid
        if valid is None:
            return {}
        note(f"judging the best weights: one pass over the whole validation part, {len(valid):,} tokens")
        measures = evaluate(self.network.eval(), valid, stop=stop, advance=HowLong(note, len(valid)))
        if measures is None:
            return None
        unknown = valid.count(self.corpus.tokenizer.unk_id)
        if unknown:
            self.warn(unknown_warning(unknown, len(valid) - 1))
        return measures | {"unknown": unknown}

    def summary(self, measures: Mapping[str, float]) -> str:
        """Nats and bits."""
        return f"{measures['loss']:.4f} nats, {measures['bits_per_char']:.3f} bits/char"

    def card(self, made: Made, measures: Mapping[str, float]) -> str:
        """The model card."""
        text, network = self.settings.text, self.settings.network
        tokens = {"char": "character", "word": "word", "sentencepiece": "subword (sentencepiece)"}[text.tokens]
        parameters = sum(p.numel() for p in self.network.parameters())
        paths = ", ".join(f"`{path}`" for path in text.paths)
        held_out = f"validated on `{text.valid}`"
        if text.valid_fraction is not None:
            held_out = f"the last {text.valid_fraction:.0%} held out" if text.valid_fraction else "nothing held out"
        return model_card(
            made,
            kind=(
                f"A {tokens} language model: {_described(network)}, {parameters:,} parameters.\n"
                "It continues text in the manner of what it was trained on, and knows nothing else."
            ),
            use=f"seqgen sample -m {made.name} --length 300",
            data=(
                f"Trained on {paths}; {held_out}. The text and its licence are its owner's; the weights may repeat "
                "parts of it."
            ),
            measures=_measured(measures, network) if measures else "None: there was no validation part.",
        )


def _described(config: LanguageConfig) -> str:
    layers = "layer" if config.num_layers == 1 else "layers"
    if isinstance(config, RecurrentConfig):
        of = f"{config.cell.upper()} {layers} of {config.hidden_size}, embedding {config.embed_size}"
    else:
        heads = counted(config.num_heads, "head")
        of = f"Transformer {layers} of {config.embed_size} with {heads}, context {config.context}"
    return f"{config.num_layers} {of}"


def _measured(measures: Mapping[str, float], config: LanguageConfig) -> str:
    columns = {
        "nats per token": f"{measures['loss']:.4f}",
        "bits per character": f"{measures['bits_per_char']:.4f}",
        "perplexity per token": f"{measures['perplexity']:.3f}",
        "tokens": f"{measures['tokens']:,}",
        "unknown tokens": f"{measures['unknown']:,}",
    }
    how = "state carried throughout"
    if not isinstance(config, RecurrentConfig):
        how = f"each token predicted from the {config.context // 2} to {config.context} before it"
    return f"One sequential pass over the whole validation part, {how}:\n\n{table(columns)}"
