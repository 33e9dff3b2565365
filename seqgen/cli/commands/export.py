"""`seqgen export`: a model for another engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from seqgen.cli import options
from seqgen.cli.commands.translate import DEFAULT
from seqgen.cli.terminal import Terminal
from seqgen.config import in_words

Format = Literal["ctranslate2", "onnx"]


def export(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that does not exist yet.")],
    to: Annotated[Format, typer.Option("--to", help="The format.")],
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a Transformer that translates for CTranslate2, or for engines that read ONNX.

    The directory has the weights, the tokenizers, and a README.md with the lines of Python that use them. It needs
    `pip install 'seqgen[ctranslate2]'`, or onnx instead.

    ```sh
    seqgen export --to ctranslate2 de-en-ctranslate2
    seqgen export -m multi30k-de-en --to onnx de-en-onnx
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)

    import torch

    from seqgen.tasks.translation.model import TranslationModel

    loaded = TranslationModel.load(model, torch.device("cpu"))
    match to:
        case "ctranslate2":
            from seqgen.export.ctranslate2_format import export as write
        case "onnx":
            from seqgen.export.onnx_format import export as write
    terminal.detail(f"{loaded.directory}; {in_words(loaded.network.config)}")
    write(loaded, out)
    terminal.note(f"{out / 'README.md'} says how it is used")
