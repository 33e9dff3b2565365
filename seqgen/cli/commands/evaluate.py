"""`seqgen evaluate`: how good a model is, by the measure of its task."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import Judged, answering, ready
from seqgen.cli.declared_options import declared_options
from seqgen.cli.terminal import Terminal
from seqgen.errors import ModelError
from seqgen.tasks import kinds
from seqgen.tasks.features.kind import SETS
from seqgen.wording import counted

DEFAULT = "shakespeare-lstm"
EVALUATIONS = (*(kind.evaluation for kind in kinds.KINDS), SETS)


@declared_options([evaluation.options for evaluation in EVALUATIONS], before="as_json")
def evaluate(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA",
            help="What the model is judged on: text, SOURCE TARGET, labelled texts, a table of series, a list of "
            "captions, real images, pairs of images, A and B; without a model, two sets of images: folders, zip, tar, "
            "idx(.gz), npz.",
        ),
    ],
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    **chosen: Any,
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

    A classifier labels texts. JSON keys: accuracy (with interval, the half-width of 95 %), macro_f1, loss (nats per
    label), calibration_error, unknown_accuracy (of words), texts, labels, classes (by name: count, precision, recall,
    f1), confusion (true by found). A forecaster starts from every new row of a table. JSON keys: mase, that of simple
    methods (naive_mase and so on), coverage and width of the band (coverage_80), pinball, origins, period. A captioner
    captions the clips of a list, those of the validation part where the list names one. JSON keys: cider_d (with
    cider_interval, 95 %), rouge_l, bleu_1, bleu_2, chrf, exact, distinct, most_frequent (shares), loss, clips, and the
    same scores under frames_shuffled, nearest_clip and most_frequent_caption.

    A GAN is judged by real images, and a set of images by another, in the features of a network. A Fréchet distance
    compares only with one of the same network and the same counts: both are told. n real images stand beside n others,
    and beside n other real ones for the floor, so n is at most half of the real images. Extrapolated, the distance has
    no bias of the count (Chong and Forsyth 2020: FID_n = FID_infinity + c / n, a line through several n). JSON keys:
    frechet, floor, floor_images, frechet_extrapolated, features, feature_size, real_images, fake_images, kernel,
    precision, recall, neighbour_images, different_bins, bins, bin_divergence, right (share as asked), classes (a
    list: name, real, fake, missing, asked, right, frechet, recall). A set may be an npz of --save-statistics or of
    pytorch-fid: it has no floor. A LapGAN has a list of levels, too (height, width, frechet, floor). A model of
    train-features: accuracy, loss, images.

    A pix2pix model is judged by pairs like those of its training: l1, psnr, ssim, frechet and floor (half of the
    outputs beside the targets of the other half, by the texture of 8x8 pixels without --features), features, pairs.
    With --reader, a model that makes label maps of images, also labels and labels_of_targets: what it reads in the
    outputs and in the targets beside the maps themselves (right, right_by_class: shares of pixels; overlap:
    intersection over union; Long et al. 2015). A CycleGAN by the images of A and of B, both ways (a2b, b2a): cycle
    (distance of what came back), frechet, floor, kept (classes, by a network of --features that knows them), features,
    images, and with --aligned truth, identity, histogram.

    ```sh
    seqgen evaluate data.txt --tail 0.1 --dynamic 0.03
    seqgen evaluate -m multi30k-de-en test.de test.en --search-errors
    seqgen evaluate real/ fakes.zip --features digits --json
    ```
    """
    from seqgen import modeldir
    from seqgen.data.contents import content_of
    from seqgen.tasks.kind import Request

    terminal = Terminal(quiet=quiet, verbose=verbose)
    used, count = ready(device, threads)
    typed = options.given(ctx)
    comparing = bool(typed.keys() & SETS.options.options().keys()) or "images" in map(content_of, paths)
    if "model" in typed or not comparing:
        directory = modeldir.locate(model)
        task = modeldir.read_config(directory).task
        if (kind := kinds.of(task)) is None:
            raise ModelError(f"{directory} is a model for {task!r}, which this seqgen does not know")
        evaluation, judged = kind.evaluation, Judged(answering(model), paths)
        terminal.detail(f"{model}: {task}; {used}, {counted(count, 'thread')}")
    else:
        evaluation, judged = SETS, Judged(None, paths)
        terminal.detail(f"{SETS.called}; {used}, {counted(count, 'thread')}")
    known = evaluation.options.options().keys()
    options.refuse_idle(ctx, dict.fromkeys(chosen.keys() - known, f"on {evaluation.called}"))
    given = {name: value for name, value in chosen.items() if name in known and name in typed}
    wanted = evaluation.options(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    options.refuse_idle(ctx, wanted.idle)
    found = evaluation.run(Request(model, paths, wanted, used, terminal.warn, terminal.progress))
    for path, content in found.files.items():
        streams.write_file(path, content)
    if not found.measures:
        return
    if as_json:
        streams.write_json(judged.described(found.measures))
    else:
        streams.show(judged.heading(found.width) + found.text)
