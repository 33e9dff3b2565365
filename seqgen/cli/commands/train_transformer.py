"""`seqgen train-transformer`: a language model from text, or an encoder-decoder from sentence pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seqgen.cli import options
from seqgen.cli.settings import stored_part
from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import DATA, TransformerPairsSettings, TransformerTextSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

Of = Literal["text", "pairs"]

TEXT, PAIRS = TransformerTextSettings(), TransformerPairsSettings()


@training_options({"text": TEXT, "pairs": PAIRS})
def train_transformer(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA | SOURCE TARGET",
            help="A text (file, folder or -), or two aligned files, or one TSV, CSV or JSONL with both sides.",
        ),
    ] = None,
    valid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|FRACTION | SOURCE TARGET",
            help="Validate on these, else on the tail: 10 % of a text, 2 % of pairs.",
            rich_help_panel=DATA,
        ),
    ] = None,
    **chosen: Any,
) -> None:
    """Train a Transformer: a language model on text, or an encoder-decoder on sentence pairs.

    One path is a text, two are pairs, and so is a table, which is known by its content. Without a bound a text takes
    ten minutes, pairs thirty. Ctrl-C saves and stops; --resume goes on bit for bit.

    ```sh
    seqgen train-transformer data.txt
    seqgen train-transformer data.txt --positions learned --minutes 3 --out m
    seqgen train-transformer train.de train.en --valid val.de val.en
    ```
    """
    typed = options.given(ctx)
    of = _content(paths, **chosen)
    others = {"text": PAIRS, "pairs": TEXT}[of].options().keys() - COMMANDS[of].defaults.options().keys()
    options.refuse_idle(ctx, dict.fromkeys(others, "on sentence pairs" if of == "pairs" else "on a text"))
    if valid and of == "text":
        if len(valid) > 1:
            raise UsageError("a text is validated on one path or fraction", hint="two paths go with sentence pairs")
        typed["valid"] = valid[0]
    COMMANDS[of].run(ctx, typed)


def _content(paths: list[str] | None, *, source_key: str, target_key: str, resume: bool, **chosen: Any) -> Of:
    """Whether there is a text to learn from, or sentence pairs."""
    from seqgen.data.contents import content_of
    from seqgen.data.sides import Keys

    keys = Keys(source_key, target_key)
    if not paths:
        return "pairs" if "max_tokens" in stored_part(chosen["out" if resume else "config"], "text") else "text"
    return "pairs" if len(paths) > 1 or any(keys.given) or content_of(paths[0], keys) == "table" else "text"


def _text_recipe(settings: TransformerTextSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.language.recipe import LanguageModelRecipe

    return LanguageModelRecipe(settings, warn)


def _pairs_recipe(settings: TransformerPairsSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.translation.recipe import TranslationRecipe

    return TranslationRecipe(settings, warn)


MISSING = UsageError(
    "nothing to train on", hint="seqgen train-transformer FILE, or SOURCE TARGET, or - to read standard input"
)
COMMANDS: Mapping[Of, Command[Any]] = {
    "text": Command(TEXT, MISSING, _text_recipe),
    "pairs": Command(PAIRS, MISSING, _pairs_recipe),
}
