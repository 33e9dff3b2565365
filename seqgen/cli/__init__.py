"""The command line: what a person types. Each command parses, loads, calls and prints, in a file of its own.

Nothing here imports torch, numpy or `rich.progress` before a command needs them, so that `--help`, `--version`,
completion and usage errors answer at once.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from seqgen import __version__
from seqgen.cli import exits, options, streams
from seqgen.cli.commands import (
    caption,
    classify,
    evaluate,
    export,
    forecast,
    gan_sample,
    gan_train,
    gan_translate,
    inspect,
    models,
    plot,
    sample,
    score,
    train_captioner,
    train_classifier,
    train_features,
    train_forecaster,
    train_lm,
    train_seq2seq,
    train_transformer,
    translate,
)

# A product of a new shape gets a kernel of its own, half a megabyte, which oneDNN and PyTorch keep for the 1,024 newest
# shapes each. Batches of sentences have more: training grew to 4 GB and was no faster than with the last 128.
KERNEL_CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "128"}
# When the first process of a run has failed, torch tells each other one in a page of C++ what seqgen says in a line.
QUIET_TORCH = {"TORCH_CPP_LOG_LEVEL": "ERROR"}

app = typer.Typer(
    name="seqgen",
    help="Train small sequence models on your own text, see why they work, and pipe what they write.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        streams.write(f"seqgen {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("train-lm", rich_help_panel="Train")(train_lm.train_lm)
app.command("train-seq2seq", rich_help_panel="Train", cls=options.ValidCommand)(train_seq2seq.train_seq2seq)
app.command("train-transformer", rich_help_panel="Train", cls=options.ValidCommand)(train_transformer.train_transformer)
app.command("train-classifier", rich_help_panel="Train")(train_classifier.train_classifier)
app.command("train-forecaster", rich_help_panel="Train")(train_forecaster.train_forecaster)
app.command("train-captioner", rich_help_panel="Train")(train_captioner.train_captioner)
app.command("train-features", rich_help_panel="Train")(train_features.train_features)
app.command("gan-train", rich_help_panel="Train")(gan_train.gan_train)
app.command("sample", rich_help_panel="Use", cls=options.OnceCommand)(sample.sample)
app.command("gan-sample", rich_help_panel="Use", cls=options.OnceCommand)(gan_sample.gan_sample)
app.command("gan-translate", rich_help_panel="Use", cls=options.OnceCommand)(gan_translate.gan_translate)
app.command("translate", rich_help_panel="Use", cls=options.OnceCommand)(translate.translate)
app.command("classify", rich_help_panel="Use", cls=options.OnceCommand)(classify.classify)
app.command("forecast", rich_help_panel="Use", cls=options.OnceCommand)(forecast.forecast)
app.command("caption", rich_help_panel="Use", cls=options.OnceCommand)(caption.caption)
app.command("score", rich_help_panel="Judge", cls=options.OnceCommand)(score.score)
app.command("evaluate", rich_help_panel="Judge", cls=options.OnceCommand)(evaluate.evaluate)
app.command("inspect", rich_help_panel="Judge", cls=options.SpreadCommand)(inspect.inspect)
app.command("plot", rich_help_panel="Judge", cls=options.OnceCommand)(plot.plot)
app.command("models", rich_help_panel="Judge", cls=options.OnceCommand)(models.models)
app.command("export", rich_help_panel="Use", cls=options.OnceCommand)(export.export)


def main() -> None:
    """The console script."""
    for name, value in (KERNEL_CACHES | QUIET_TORCH).items():
        os.environ.setdefault(name, value)  # read when torch is imported, and when the first product is computed
    exits.run(app)
