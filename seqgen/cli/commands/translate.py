"""`seqgen translate`: sentences in, sentences out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.outputs import Show, Shown
from seqgen.cli.searching import WANTED, chosen_search, search_options
from seqgen.cli.terminal import Terminal
from seqgen.config import MACHINE, SearchConfig, in_words
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.tasks.targets import Output
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translation

DEFAULT = "multi30k-de-en"
SEARCH = SearchConfig()
BATCH = 64


@search_options(SEARCH, before="max_length")
def translate(
    ctx: typer.Context,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="SENTENCE", help="One sentence each; else lines of stdin (-).")
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    ensemble: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model, to average with; may be repeated.")
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=0, help="Tokens at most; 0: twice the source's and ten more.", rich_help_panel=WANTED)
    ] = 0,
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
    **chosen: Any,
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
    search = chosen_search(ctx, SEARCH, terminal)

    from seqgen.data.unseen import Unseen
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.translate import Translator
    from seqgen.train import machine

    used, _ = ready(device, threads or 1)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    models = [TranslationModel.load(name, used) for name in (model, *(ensemble or ()))]
    terminal.detail(f"{', '.join(str(m.directory) for m in models)}; {used}; {in_words(models[0].network.config)}")
    texts = [] if texts in (None, ["-"]) else texts
    live = not texts and streams.stdin_is_a_person()
    translator = Translator(
        models,
        search.method,
        search.config,
        search.sampling,
        seed=search.seed,
        prefix=search.prefix,
        max_length=max_length,
        batch_size=batch_size or (1 if live else BATCH),
        batch_tokens=batch_tokens,
        trees=search.trees,
        attention=search.attention,
        dtype=machine.DTYPES[precision],
    )
    if (search.alignments or search.chart.path) and not translator.aligned:
        why = "they do not read sources alike" if ensemble else f"{models[0].directory} has none"
        raise UsageError(f"there is no attention to show: {why}")
    if live:
        terminal.note("one sentence a line; Ctrl-D ends")
    lines = _lines(texts)
    if not threads:
        lines = _noticing_many(lines, lambda: terminal.detail(f"{machine.set_threads(0, used)} threads"))
    unseen = Unseen()
    unseen.add(models[0].target_tokenizer.unseen(translator.prefix))
    show = Show(search, models[0].target_tokenizer.piece, "source tokens")
    for number, translation in enumerate(translator.stream(lines), 1):
        if translation.cut:
            terminal.warn(f"line {number} is too long: only its beginning was translated")
        unseen.add(translation.unseen)
        shown = _shown(translation, models[0])
        show.pictures(shown, number)
        for row in show.rows(shown, number):
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


def _shown(translation: Translation, model: TranslationModel) -> Shown:
    words = len(translation.source_tokens) - 1

    def alignment(output: Output) -> list[tuple[int, int]]:
        """The source token that each target token attended to most, both from 0 on and without end symbols."""
        assert output.hypothesis.attention is not None
        attended = output.hypothesis.attention[:-1, :words].argmax(dim=1).tolist()
        return [(words - 1 - s if model.reverse_source else s, t) for t, s in enumerate(attended)]

    head = {
        "source": translation.source,
        "source_tokens": list(translation.source_tokens),
        "unknown": list(dict.fromkeys(translation.unseen)),
    }
    return Shown(translation.found, translation.source, head, translation.source_tokens, alignment)
