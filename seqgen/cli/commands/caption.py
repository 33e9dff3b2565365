"""`seqgen caption`: clips in, sentences out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.outputs import Show, Shown
from seqgen.cli.searching import WANTED, chosen_search, search_options
from seqgen.cli.terminal import Terminal
from seqgen.config import CAPTION_SEARCH, MACHINE, in_words
from seqgen.errors import DataError, UsageError
from seqgen.wording import counted

if TYPE_CHECKING:
    from seqgen.tasks.captioning.caption import Caption
    from seqgen.tasks.targets import Output

DEFAULT = "drawn-clips"
BATCH = 16


@search_options(CAPTION_SEARCH, before="max_length", without=("coverage_penalty",))
def caption(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Clips; else names of files on stdin (-), one a line.")
    ] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    max_length: Annotated[int, typer.Option(min=0, help="Tokens at most; 0: 40.", rich_help_panel=WANTED)] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Clips at a time; 1 on a terminal, else {BATCH}.", rich_help_panel=MACHINE),
    ] = None,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    **chosen: Any,
) -> None:
    """Put clips into words: n files in, n lines out, in order.

    A clip is an animated GIF, WebP or PNG, a still image, or a folder of frames; a video file needs the extra video. A
    file that cannot be read is named, its line stays empty, and the command fails when the others are done. Columns are
    separated by tabs; --alignments tells frame-token, both from 0 on. With --json each line is one object: file, frames
    (that were read), total (that there are), error (null), text, score and log_prob (nats), tokens with log_probs,
    hypotheses with --n-best, alignment, and of --exhaustive: optimal, gap, nodes.

    ```sh
    seqgen caption clip.gif
    seqgen caption --beam 5 --show-beams --n-best 3 clip.gif frames/
    ls clips/*.webp | seqgen caption --json
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    search = chosen_search(ctx, CAPTION_SEARCH, terminal)

    from seqgen.tasks.captioning.caption import CaptionWriter
    from seqgen.tasks.captioning.model import CaptionerModel

    used, count = ready(device, threads)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = CaptionerModel.load(model, used)
    where = f"{used}, {counted(count, 'thread')}"
    terminal.detail(f"{loaded.directory}; {where}; {in_words(loaded.network.config)}")
    if (search.alignments or search.chart.path) and not loaded.network.attends:
        raise UsageError(f"there is no attention to show: {loaded.directory} does not attend to frames")
    files = [] if files in (None, ["-"]) else files
    live = not files and streams.stdin_is_a_person()
    if live:
        terminal.note("the name of one file a line; Ctrl-D ends")
    writer = CaptionWriter(
        loaded,
        search.method,
        search.config,
        search.sampling,
        seed=search.seed,
        prefix=search.prefix,
        max_length=max_length,
        batch_size=batch_size or (1 if live else BATCH),
        trees=search.trees,
        attention=search.attention,
    )
    show, faults, number = Show(search, loaded.tokenizer.piece, "frames"), 0, 0
    for number, found in enumerate(writer.stream(_names(files)), 1):
        if found.fault is not None:
            faults += 1
            terminal.warn(found.fault.message)
        elif found.clip is not None and found.clip.damaged:
            terminal.warn(f"{found.file} is damaged: read up to there")
        shown = _shown(found)
        show.pictures(shown, number)
        for row in show.rows(shown, number):
            streams.write(row + "\n")
        streams.flush()
    if faults:
        raise DataError(f"{faults} of {counted(number, 'clip')} cannot be read")


def _names(files: list[str]) -> Iterable[str]:
    """The files that were typed, or those that standard input names; a blank line names none."""
    if not files:
        return (line for line in streams.read_lines() if line.strip())
    if "-" in files:
        raise UsageError("- stands for standard input: it goes with no file beside it")
    return files


def _shown(found: Caption) -> Shown:
    frames = 0 if found.clip is None else len(found.clip.frames)

    def alignment(output: Output) -> list[tuple[int, int]]:
        """The frame that each token but the end symbol attended to most, both from 0 on."""
        assert output.hypothesis.attention is not None
        attended = output.hypothesis.attention[:-1, :frames].argmax(dim=1).tolist()
        return [(frame, token) for token, frame in enumerate(attended)]

    head = {
        "file": found.file,
        "frames": frames,
        "total": 0 if found.clip is None else found.clip.total,
        "error": None if found.fault is None else found.fault.message,
    }
    return Shown(found.found, found.file, head, tuple(str(n) for n in range(1, frames + 1)), alignment)
