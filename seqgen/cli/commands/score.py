"""`seqgen score`: how probable a translation model finds given translations."""

from __future__ import annotations

from typing import Annotated

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.terminal import Terminal
from seqgen.config import MACHINE, in_words
from seqgen.wording import counted

DEFAULT = "multi30k-de-en"


def score(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE TARGET",
            help="Two aligned files, or one TSV, CSV or JSONL; else source TAB target from stdin (-).",
        ),
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    per_token: Annotated[bool, typer.Option("--tokens", help="A column with each token's log-probability.")] = False,
    source_key: options.SourceKey = "",
    target_key: options.TargetKey = "",
    as_json: options.Json = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs at a time.", rich_help_panel=MACHINE)] = 64,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    r"""Score given translations: log P(target | source) in nats, end symbol included, one line for each pair.

    Columns are separated by tabs: log-probability, tokens, and with --tokens each token as piece=log-probability. With
    --json each line is one object: source, target, log_prob, tokens, log_probs, unknown (characters of both that the
    model has never seen).

    ```sh
    seqgen score test.de test.en
    paste test.de test.en | seqgen score --json
    printf 'Ein Hund.\tA dog.\n' | seqgen score --tokens
    ```
    """
    from seqgen.data.pair_files import read_pairs
    from seqgen.data.sides import Keys
    from seqgen.data.unseen import Unseen
    from seqgen.tasks.opening import leak_of
    from seqgen.tasks.translation.model import TranslationModel
    from seqgen.tasks.translation.score import force_decode

    terminal = Terminal(quiet=quiet, verbose=verbose)
    options.refuse_idle(ctx, options.idle_unless(not as_json, ("per_token",), "with --json, which shows each token"))
    used, count = ready(device, threads)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = TranslationModel.load(model, used)
    if leak := leak_of(loaded.network.config):
        terminal.warn(leak)
    terminal.detail(f"{loaded.directory}; {used}, {counted(count, 'thread')}; {in_words(loaded.network.config)}")

    live = not paths and streams.stdin_is_a_person()
    if live:
        terminal.note("source TAB target, one pair a line; Ctrl-D ends")
    pairs = read_pairs(tuple(paths or ["-"]), Keys(source_key, target_key))
    unseen = Unseen()
    for scored in force_decode(loaded, pairs, 1 if live else batch_size):
        unseen.add(scored.unseen)
        if as_json:
            streams.write_json(
                {
                    "source": scored.source,
                    "target": scored.target,
                    "log_prob": round(sum(scored.log_probs), 6),
                    "tokens": list(scored.tokens),
                    "log_probs": [round(log_prob, 6) for log_prob in scored.log_probs],
                    "unknown": list(dict.fromkeys(scored.unseen)),
                }
            )
        else:
            columns = [f"{sum(scored.log_probs):.4f}", str(len(scored.log_probs))]
            if per_token:
                cells = zip(scored.tokens, scored.log_probs, strict=True)
                columns.append(" ".join(f"{token}={log_prob:.4f}" for token, log_prob in cells))
            streams.write("\t".join(columns) + "\n")
        streams.flush()
    if unseen.count:
        terminal.warn(str(unseen))
