"""`seqgen train-captioner`: sentences for clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import CaptionerSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = CaptionerSettings()


@training_options({"": DEFAULTS})
def train_captioner(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="A list of clips with captions, or the folder that holds it; - is stdin."),
    ] = None,
    **chosen: Any,
) -> None:
    """Train a network that reads the frames of a clip and writes a sentence, and keep the best.

    DATA is JSON, JSON lines or a table of files and captions, several a clip if there are several. A clip is an
    animated GIF, WebP or PNG, a still image, or a folder of frames; a video file needs the extra video. Names are
    looked up beside DATA. Without a bound it trains for ten minutes. Ctrl-C saves and stops; --resume goes on bit for
    bit.

    ```sh
    seqgen train-captioner captions.json --encoder sequence --out c
    seqgen train-captioner clips.tsv --encoder mean --frames 16 --image-size 64
    seqgen train-captioner captions.json --cnn features:digits --minutes 3
    ```
    """
    COMMAND.run(ctx)


def _recipe(settings: CaptionerSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.captioning.recipe import CaptionerRecipe

    return CaptionerRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no clips to train on", hint="seqgen train-captioner captions.json"),
    recipe=_recipe,
)
