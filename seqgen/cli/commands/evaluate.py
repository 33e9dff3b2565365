"""`seqgen evaluate`: how good a model is, by the measure of its task."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import Judged, answering
from seqgen.cli.commands import evaluate_images
from seqgen.cli.terminal import Terminal
from seqgen.config import SearchConfig
from seqgen.errors import UsageError
from seqgen.wording import counted

if TYPE_CHECKING:
    import torch

    from seqgen.data.tables import Keys
    from seqgen.tasks.translation.model import TranslationModel

DEFAULT = "shakespeare-lstm"
SEARCH = SearchConfig()
LANGUAGE, TRANSLATION, IMAGES = "Language models", "Translation models", "Images"

# Which options belong to which kind of model, and how that is called; the others belong to all.
KINDS = {
    "language-model": "a language model",
    "translation": "a translation model",
    "images": "a GAN",
    "image-features": "a feature network",
}
COMPARING = {"features", "weights", "save_statistics"}
OPTIONS = {
    "language-model": {"tail", "dynamic"},
    "translation": {
        "source_key",
        "target_key",
        "beam",
        "length_penalty",
        "search_errors",
        "min_length",
        "max_nodes",
        "max_seconds",
    },
    "images": COMPARING | {"samples"},
    "sets of images": COMPARING,
    "image-features": set[str](),
}


def evaluate(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA",
            help="Text for a language model, SOURCE TARGET for a translation model, real images for a GAN; without a "
            "model, two sets of images: folders, zip, tar, idx(.gz), npz.",
        ),
    ],
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    tail: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Only the last part of the text, as --valid of train-lm keeps it.",
            rich_help_panel=LANGUAGE,
        ),
    ] = 1.0,
    dynamic: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="LR",
            help="Go on learning from what was read, at this learning rate (0.03, say); 0: do not.",
            rich_help_panel=LANGUAGE,
        ),
    ] = 0.0,
    source_key: options.SourceKey = "",
    target_key: options.TargetKey = "",
    beam: Annotated[
        int, typer.Option(min=1, metavar="K", help="Width of the beam.", rich_help_panel=TRANSLATION)
    ] = SEARCH.beam_size,
    length_penalty: Annotated[
        float, typer.Option(help="Divide scores by ((5 + n) / 6) ** A.", rich_help_panel=TRANSLATION)
    ] = SEARCH.length_penalty,
    search_errors: Annotated[
        bool,
        typer.Option(
            "--search-errors", help="How often greedy and beam miss the proven optimum.", rich_help_panel=TRANSLATION
        ),
    ] = False,
    min_length: Annotated[int, typer.Option(help="Tokens at least.", rich_help_panel=TRANSLATION)] = SEARCH.min_length,
    max_nodes: Annotated[
        int, typer.Option(help="Prefixes a proof may expand for a sentence.", rich_help_panel=TRANSLATION)
    ] = SEARCH.max_nodes,
    max_seconds: Annotated[
        float, typer.Option(help="Seconds it may take for a sentence.", rich_help_panel=TRANSLATION)
    ] = SEARCH.max_seconds,
    features: Annotated[
        str,
        typer.Option(
            metavar="NETWORK",
            help="What compares images: digits, efficientnet, inception, or a model of train-features.",
            rich_help_panel=IMAGES,
        ),
    ] = "",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of --features inception.", rich_help_panel=IMAGES)
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Images a GAN makes; 0: half as many as are real.", rich_help_panel=IMAGES)
    ] = 0,
    save_statistics: Annotated[
        Path | None,
        typer.Option(help="Write mean and covariance of the real images (npz).", rich_help_panel=IMAGES),
    ] = None,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Judge a model on data that it was not trained on, or one set of images by another.

    The result names the model, the shipped one where none is named with -m, and the data; JSON keys: model, data.

    A language model reads text in one sequential pass, the state carried from the first token to the last; a
    Transformer sees its context only, and predicts each token from at least half of one. JSON keys:
    loss (nats per token), bits_per_char, perplexity, tokens, chars (of the text), unknown (tokens). With --dynamic it
    goes on learning: a part of the text is predicted, and then learnt from (Krause et al. 2018). That is another figure
    than one without, to be reported as such; the model on disk stays as it is.

    A translation model translates SOURCE by beam search. JSON keys: bleu, chrf (with bleu_signature, chrf_signature),
    loss (nats per token of TARGET), perplexity, sentences, seconds, unknown (characters). With --search-errors: a table
    of greedy, beam and exhaustive search (Stahlberg and Byrne 2019); in JSON a list under search_errors.

    A GAN is judged by real images, and a set of images by another, in the features of a network. A Fréchet distance
    compares only with one of the same network and the same counts: both are told. n real images stand beside n others,
    and beside n other real ones for the floor, so n is at most half of the real images. Extrapolated, the distance has
    no bias of the count (Chong and Forsyth 2020: FID_n = FID_infinity + c / n, a line through several n). JSON keys:
    frechet, floor, floor_images, frechet_extrapolated, features, feature_size, real_images, fake_images, kernel,
    precision, recall, neighbour_images, different_bins, bins, bin_divergence, right (share as asked), classes (a
    list: name, real, fake, missing, asked, right, frechet, recall). A set may be an npz of --save-statistics or of
    pytorch-fid: it has no floor. A model of train-features: accuracy, loss, images.

    ```sh
    seqgen evaluate data.txt --tail 0.1 --dynamic 0.03
    seqgen evaluate -m multi30k-de-en test.de test.en --search-errors
    seqgen evaluate real/ fakes.zip --features digits --json
    ```
    """
    from seqgen import modeldir
    from seqgen.data.kinds import kind_of
    from seqgen.data.tables import Keys
    from seqgen.train import machine

    terminal = Terminal(quiet=quiet, verbose=verbose)
    place = machine.choose_device(device)
    used = machine.set_threads(threads, place)
    machine.keep_memory()
    chosen = options.given(ctx)
    no_model = "model" not in chosen and (bool(chosen.keys() & COMPARING) or "images" in map(kind_of, paths))
    task = "sets of images" if no_model else modeldir.read_config(modeldir.locate(model)).task
    judged = Judged(None if no_model else answering(model), paths, as_json)
    terminal.detail(f"{task if no_model else f'{model}: {task}'}; {place}, {counted(used, 'thread')}")
    elsewhere = set[str]().union(*OPTIONS.values()) - OPTIONS.get(task, set())
    options.refuse_idle(
        ctx,
        options.idle_unless(search_errors, ("max_nodes", "max_seconds"), "without --search-errors")
        | dict.fromkeys(elsewhere, f"on {KINDS.get(task, task)}"),
    )
    wanted = evaluate_images.Wanted(features, weights, samples, save_statistics)
    match task:
        case "sets of images":
            evaluate_images.compare_sets(paths, wanted, place, terminal, judged)
        case "images":
            evaluate_images.judge_gan(model, paths, wanted, place, terminal, judged)
        case "image-features":
            evaluate_images.judge_features(model, paths, place, terminal, judged)
        case "translation":
            search = SearchConfig(
                length_penalty=length_penalty,
                min_length=min_length,
                beam_size=beam,
                max_nodes=max_nodes,
                max_seconds=max_seconds,
            )
            pairs = _read_pairs(tuple(paths), Keys(source_key, target_key))
            _pairs(model, pairs, search, place, terminal, judged, search_errors=search_errors)
        case _:
            _text(model, paths, tail, dynamic, place, terminal, judged)


def _text(
    model: str,
    paths: list[str],
    tail: float,
    dynamic: float,
    place: torch.device,
    terminal: Terminal,
    judged: Judged,
) -> None:
    from seqgen.data.corpus import open_text
    from seqgen.tasks.language.judge import evaluate, evaluate_dynamically, unknown_warning
    from seqgen.tasks.language.model import LanguageModel
    from seqgen.tasks.networks import leak_of

    loaded = LanguageModel.load(model, place)
    with tempfile.TemporaryDirectory() as directory:
        span = open_text(paths, loaded.tokenizer, Path(directory), tail=tail, warn=terminal.warn)
        with terminal.progress("evaluating", len(span) - 1) as advance:
            measures = (
                evaluate_dynamically(loaded.network, span, dynamic, advance=advance)
                if dynamic
                else evaluate(loaded.network, span, advance=advance)
            )
        unknown = span.count(loaded.tokenizer.unk_id)
    assert measures is not None  # nothing asks this pass to stop
    measures |= {"unknown": unknown}
    if unknown:
        terminal.warn(unknown_warning(unknown, len(span) - 1))
    if leak := leak_of(loaded.network.config):
        terminal.warn(leak)
    if judged.as_json:
        judged.write_json(measures)
        return
    streams.show(
        f"{judged.heading(15)}"
        f"loss           {measures['loss']:.4f} nats per token\n"
        f"bits per char  {measures['bits_per_char']:.4f}\n"
        f"perplexity     {measures['perplexity']:.4f} per token\n"
        f"tokens         {measures['tokens']:.0f}\n"
        f"characters     {measures['chars']:.0f}\n"
        f"unknown        {unknown} tokens\n"
    )


def _read_pairs(paths: tuple[str, ...], keys: Keys) -> list[tuple[str, str]]:
    from seqgen.data.pair_files import read_pairs

    pairs = list(read_pairs(paths, keys))
    if not pairs:
        raise UsageError(f"{', '.join(paths)}: no sentence pairs")
    return pairs


def _pairs(
    model: str,
    pairs: list[tuple[str, str]],
    search: SearchConfig,
    place: torch.device,
    terminal: Terminal,
    judged: Judged,
    *,
    search_errors: bool,
) -> None:
    from seqgen.data.unseen import Unseen
    from seqgen.tasks.networks import leak_of
    from seqgen.tasks.translation.judge import judge_lines
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translator

    loaded = TranslationModel.load(model, place)
    unseen = Unseen()
    for pair in pairs:
        unseen.add(loaded.unseen(*pair))
    if unseen.count:
        terminal.warn(str(unseen))
    if search_errors:
        _search_errors(loaded, pairs, search, terminal, judged)
        return
    with terminal.progress("translating", len(pairs)) as advance:
        measures = judge_lines(loaded, pairs, Translator([loaded], "beam", search), advance)
    if leak := leak_of(loaded.network.config):
        terminal.warn(leak)
    if judged.as_json:
        judged.write_json({**measures, "unknown": unseen.count})
        return
    streams.show(
        f"{judged.heading(12)}"
        f"BLEU        {measures['bleu']:.2f}   {measures['bleu_signature']}\n"
        f"chrF2       {measures['chrf']:.2f}   {measures['chrf_signature']}\n"
        f"loss        {measures['loss']:.4f} nats per token\n"
        f"perplexity  {measures['perplexity']:.4f} per token\n"
        f"sentences   {measures['sentences']}, in {measures['seconds']:.1f} s\n"
    )


def _search_errors(
    model: TranslationModel, pairs: list[tuple[str, str]], search: SearchConfig, terminal: Terminal, judged: Judged
) -> None:
    from seqgen.tasks.translation.search_errors import compare_searches

    with terminal.progress("proving", len(pairs)) as advance:
        rows = compare_searches(model, pairs, search, advance)
    if judged.as_json:
        judged.write_json({"search_errors": [dataclasses.asdict(row) for row in rows]})
        return
    streams.show(judged.heading(12))
    streams.write("search      BLEU   length  errors   empty  nats/sentence  seconds\n")
    for row in rows:
        errors = f"{row.errors:6.1%}" if row.errors is not None else "     -"
        streams.write(
            f"{row.search:10}  {row.bleu:5.2f}  {row.length_ratio:6.3f}  {errors}  {row.empty:6.1%}"
            f"  {-row.log_prob:13.3f}  {row.seconds:7.1f}\n"
        )
    exact = rows[-1]
    streams.write(f"proved optimal: {exact.proved:.1%} of {len(pairs)}; errors are counted among these\n")
