"""`seqgen translate`: sentences in, sentences out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgen.cli import options, pictures, streams, translated
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.config import MACHINE, SamplingConfig, SearchConfig, in_words
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.tasks.targets import Method
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translation

    Show = Callable[[Translation, int, int, TranslationModel], Iterator[str]]

DEFAULT = "multi30k-de-en"
SEARCH, SAMPLING = SearchConfig(), SamplingConfig()
BATCH = 64
METHOD, WANTED, SHOWN = "How to search", "Which output", "What to show"


def translate(
    ctx: typer.Context,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="SENTENCE", help="One sentence each; else lines of stdin (-).")
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    ensemble: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model, to average with; may be repeated.")
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="The most probable token at each step.", rich_help_panel=METHOD)
    ] = False,
    beam: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="K", help=f"Beam search, the default with K = {SEARCH.beam_size}.", rich_help_panel=METHOD
        ),
    ] = None,
    exhaustive: Annotated[
        bool,
        typer.Option("--exhaustive", help="Prove the best of all outputs, within a budget.", rich_help_panel=METHOD),
    ] = False,
    sampled: Annotated[
        bool, typer.Option("--sample", help="Draw each token at random.", rich_help_panel=METHOD)
    ] = False,
    max_hypotheses: Annotated[
        int, typer.Option(help="Stop a beam at so many whole outputs; 0: when none can win.", rich_help_panel=METHOD)
    ] = SEARCH.max_hypotheses,
    max_nodes: Annotated[
        int, typer.Option(help="Prefixes an exhaustive search may expand for a sentence.", rich_help_panel=METHOD)
    ] = SEARCH.max_nodes,
    max_seconds: Annotated[
        float, typer.Option(help="Seconds it may take for a sentence; 0: no limit.", rich_help_panel=METHOD)
    ] = SEARCH.max_seconds,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", min=0, help="Of --sample.", rich_help_panel=METHOD)
    ] = SAMPLING.temperature,
    top_k: Annotated[int, typer.Option(min=0, help="Of --sample.", rich_help_panel=METHOD)] = SAMPLING.top_k,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="Of --sample.", rich_help_panel=METHOD)] = SAMPLING.top_p,
    seed: options.SamplingSeed = None,
    length_penalty: Annotated[
        float, typer.Option(help="Divide by ((5 + n) / 6) ** A: favours long outputs.", rich_help_panel=WANTED)
    ] = SEARCH.length_penalty,
    coverage_penalty: Annotated[
        float, typer.Option(help="Weight of source tokens that were not attended to.", rich_help_panel=WANTED)
    ] = SEARCH.coverage_penalty,
    max_length: Annotated[
        int, typer.Option(min=0, help="Tokens at most; 0: twice the source's and ten more.", rich_help_panel=WANTED)
    ] = 0,
    min_length: Annotated[int, typer.Option(help="Tokens at least.", rich_help_panel=WANTED)] = SEARCH.min_length,
    no_repeat_ngram: Annotated[
        int, typer.Option(metavar="N", help="No N tokens in a row twice; 0: any.", rich_help_panel=WANTED)
    ] = SEARCH.no_repeat_ngram,
    prefix: Annotated[
        str, typer.Option(help="What each output begins with; a space at its end ends a word.", rich_help_panel=WANTED)
    ] = "",
    n_best: Annotated[
        int, typer.Option(metavar="N", help="The best N outputs, after the line's number.", rich_help_panel=SHOWN)
    ] = SEARCH.n_best,
    scores: Annotated[
        bool, typer.Option("--scores", help="A column with the score, in nats.", rich_help_panel=SHOWN)
    ] = False,
    alignments: Annotated[
        bool,
        typer.Option(
            "--alignments", help="A column source-target: where each token looked most.", rich_help_panel=SHOWN
        ),
    ] = False,
    show_beams: Annotated[
        bool, typer.Option("--show-beams", help="Draw the tree of the search on stderr.", rich_help_panel=SHOWN)
    ] = False,
    beam_svg: Annotated[
        Path | None, typer.Option(help="Draw the first sentence's search as a picture.", rich_help_panel=SHOWN)
    ] = None,
    attention_png: Annotated[
        Path | None,
        typer.Option(help="Draw the first sentence's attention: a .png, .svg or .pdf.", rich_help_panel=SHOWN),
    ] = None,
    font: options.Font = None,
    as_json: options.Json = False,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Sentences at a time; 1 on a terminal, else {BATCH}.", rich_help_panel=MACHINE),
    ] = None,
    batch_tokens: Annotated[
        int, typer.Option(min=0, help="Source tokens at a time; 0: no limit.", rich_help_panel=MACHINE)
    ] = 0,
    device: options.Device = "cpu",
    precision: options.UsePrecision = "fp32",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Translate: n lines in, n lines out, in order; an empty line stays empty.

    Columns are separated by tabs. With --json each line is one object: source, text, score and log_prob (nats), tokens
    with log_probs, hypotheses with --n-best, alignment, unknown (characters of the source that the model has never
    seen), and of --exhaustive: optimal, gap, nodes.

    ```sh
    seqgen translate --beam 5 < in.de > out.en
    echo "Ein Hund rennt durch den Schnee." | seqgen translate --show-beams
    seqgen translate --exhaustive --json "Ein Mann schläft."
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    method = _method(greedy=greedy, beam=beam, exhaustive=exhaustive, sampled=sampled)
    search = SearchConfig(
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        min_length=min_length,
        no_repeat_ngram=no_repeat_ngram,
        n_best=n_best,
        beam_size=beam or max(SEARCH.beam_size, n_best),
        max_hypotheses=max_hypotheses,
        max_nodes=max_nodes,
        max_seconds=max_seconds,
    )
    drawn = show_beams or beam_svg is not None
    sampling = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    options.refuse_idle(
        ctx,
        _idle(method, temperature, shown=scores or as_json, as_json=as_json)
        | options.idle_unless(attention_png is not None, ("font",), "without --attention-png"),
    )
    if search.n_best > search.beam_size and method == "beam":
        raise UsageError(f"--beam {search.beam_size} has no {search.n_best} best", hint="use a larger --beam")
    pictures.format_of(beam_svg, "--beam-svg", pictures.SVG)
    chart = ChartFile("--attention-png", attention_png, font, terminal)

    from seqgen.data.unseen import Unseen
    from seqgen.seeds import fresh
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translator
    from seqgen.train import machine

    used, _ = ready(device, threads or 1)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    models = [TranslationModel.load(name, used) for name in (model, *(ensemble or ()))]
    terminal.detail(f"{', '.join(str(m.directory) for m in models)}; {used}; {in_words(models[0].network.config)}")
    if seed is None:
        seed = fresh()
        if method == "sample":
            terminal.note(f"seed {seed}")
    texts = [] if texts in (None, ["-"]) else texts
    live = not texts and streams.stdin_is_a_person()
    translator = Translator(
        models,
        method,
        search,
        sampling,
        seed=seed,
        prefix=streams.typed(prefix, "the prefix"),
        max_length=max_length,
        batch_size=batch_size or (1 if live else BATCH),
        batch_tokens=batch_tokens,
        trees=drawn,
        attention=alignments or as_json or attention_png is not None,
        dtype=machine.DTYPES[precision],
    )
    if (alignments or attention_png) and not translator.aligned:
        why = "they do not read sources alike" if ensemble else f"{models[0].directory} has none"
        raise UsageError(f"there is no attention to show: {why}")
    if live:
        terminal.note("one sentence a line; Ctrl-D ends")
    lines = _lines(texts)
    if not threads:
        lines = _noticing_many(lines, lambda: terminal.detail(f"{machine.set_threads(0, used)} threads"))
    unseen = Unseen()
    unseen.add(models[0].target_tokenizer.unseen(translator.prefix))
    show = translated.as_json if as_json else translated.columns(scores=scores, alignments=alignments)
    for number, translation in enumerate(translator.stream(lines), 1):
        if translation.cut:
            terminal.warn(f"line {number} is too long: only its beginning was translated")
        if show_beams and translation.outputs:
            translated.draw_tree(translation, models[0])
        if number == 1 and (beam_svg or attention_png):
            translated.draw_pictures(translation, models[0], beam_svg, chart)
        unseen.add(translation.unseen)
        for row in show(translation, number, n_best, models[0]):
            streams.write(row + "\n")
        streams.flush()
    if unseen.count:
        terminal.warn(str(unseen))


def _lines(texts: list[str]) -> Iterable[str]:
    """The sentences that were typed, or the lines of standard input.

    Raises:
        UsageError: a name was typed for a sentence.
    """
    if not texts:
        return streams.read_lines()
    for text in texts:
        if text == "-":
            raise UsageError("- stands for standard input: it goes with no sentence beside it")
        streams.refuse_file(text, "seqgen translate")
    return [streams.typed(text, "the sentence") for text in texts]


def _noticing_many(lines: Iterable[str], notice: Callable[[], None]) -> Iterator[str]:
    """The same lines; notice is given as soon as they fill a batch, before it is translated."""
    for number, line in enumerate(lines, 1):
        if number == BATCH:
            notice()
        yield line


def _method(*, greedy: bool, beam: int | None, exhaustive: bool, sampled: bool) -> Method:
    """The one search that was asked for; `--exhaustive --beam K` says how wide its first beam is."""
    chosen = [name for name, asked in (("greedy", greedy), ("exhaustive", exhaustive), ("sample", sampled)) if asked]
    if len(chosen) > 1 or (beam and chosen and chosen != ["exhaustive"]):
        raise UsageError(f"{' and '.join(f'--{name}' for name in [*chosen, *(['beam'] if beam else [])])}: choose one")
    match chosen:
        case ["greedy"]:
            return "greedy"
        case ["exhaustive"]:
            return "exhaustive"
        case ["sample"]:
            return "sample"
        case _:
            return "beam"


def _idle(method: Method, temperature: float, *, shown: bool, as_json: bool) -> dict[str, str]:
    """What the chosen search and the chosen output leave without effect (`options.refuse_idle`)."""
    searched = method not in ("greedy", "sample")  # what follows one path has nothing to choose among
    return (
        options.idle_unless(method == "sample", ("temperature", "top_k", "top_p", "seed"), "without --sample")
        | options.idle_unless(temperature > 0, ("top_k", "top_p", "seed"), "with --temperature 0")
        | options.idle_unless(method == "exhaustive", ("max_nodes", "max_seconds"), "without --exhaustive")
        | options.idle_unless(method == "beam", ("max_hypotheses",), f"with --{method}")
        | options.idle_unless(searched, ("n_best", "show_beams", "beam_svg"), f"with --{method}")
        | options.idle_unless(
            searched or shown, ("length_penalty", "coverage_penalty"), f"with --{method}, but on --scores and --json"
        )
        | options.idle_unless(not as_json, ("scores", "alignments"), "with --json, which shows both")
    )
