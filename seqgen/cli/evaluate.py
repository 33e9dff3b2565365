"""`seqgen evaluate`: how good a model is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from seqgen.cli import options, output
from seqgen.cli.output import Terminal

DEFAULT = "shakespeare-lstm"


def evaluate(
    paths: Annotated[
        list[str], typer.Argument(metavar="DATA", help="UTF-8 text files, folders of them, or - for stdin.")
    ],
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    tail: Annotated[
        float, typer.Option(min=0, max=1, help="Only the last part of the text, as --valid of train-lm keeps it.")
    ] = 1.0,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Judge a language model on text: one sequential pass, the state carried from the first token to the last.

    Prints the loss in nats per token, bits per character, perplexity per token, and the tokens and characters that were
    predicted. With --json the keys are loss, bits_per_char, perplexity, tokens, chars.

    ```sh
    seqgen evaluate data.txt
    seqgen evaluate data.txt --tail 0.1 --json
    cat chapter.txt | seqgen evaluate -
    ```
    """
    from seqgen.data.corpus import open_text
    from seqgen.tasks import language_model
    from seqgen.train import runtime

    terminal = Terminal(quiet=quiet, verbose=verbose)
    place = runtime.choose_device(device)
    used = runtime.set_threads(threads)
    loaded = language_model.LanguageModel.load(model, place)
    terminal.detail(f"{loaded.directory}; {place}, {used} threads; {loaded.network.config}")
    with tempfile.TemporaryDirectory() as directory:
        span = open_text(paths, loaded.tokenizer, Path(directory), tail=tail, warn=terminal.warn)
        counts = language_model.char_counts(loaded.tokenizer)
        with output.progress(terminal, "evaluating", len(span) - 1) as advance:
            measures = language_model.evaluate(loaded.network, span, counts, advance=advance)
    assert measures is not None  # nothing asks this pass to stop
    if as_json:
        output.write_json(measures)
        return
    output.write(
        f"loss           {measures['loss']:.4f} nats per token\n"
        f"bits per char  {measures['bits_per_char']:.4f}\n"
        f"perplexity     {measures['perplexity']:.4f} per token\n"
        f"tokens         {measures['tokens']:.0f}\n"
        f"characters     {measures['chars']:.0f}\n"
    )
