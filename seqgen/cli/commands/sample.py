"""`seqgen sample`: text from a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.terminal import Terminal
from seqgen.config import SamplingConfig, in_words
from seqgen.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seqgen.tasks.language.write import Writer

DEFAULT = "shakespeare-lstm"
BETWEEN = "---\n"
SAMPLING = SamplingConfig()


def sample(
    ctx: typer.Context,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="What the text begins with; else standard input (-).")
    ] = None,
    length: Annotated[int, typer.Option("--length", "-l", min=0, help="Tokens (characters) to write.")] = 500,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many texts.")] = 1,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", min=0, help="Below 1 safer, above 1 wilder, 0 greedy.")
    ] = SAMPLING.temperature,
    top_k: Annotated[int, typer.Option(min=0, help="Only the K most probable tokens; 0: all.")] = SAMPLING.top_k,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Only the fewest tokens that reach this probability.")
    ] = SAMPLING.top_p,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the most probable token.")] = False,
    stop: Annotated[str, typer.Option(help="End before this string.")] = "",
    seed: options.SamplingSeed = None,
    as_json: options.Json = False,
    device: options.Device = "cpu",
    threads: options.Threads = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    r"""Write text: the prompt and what a language model makes of it.

    A terminal shows each character as it comes. Several texts are separated by a line of three dashes. With --json each
    text is one object: index, prompt, text, tokens, log_prob (nats, under the model itself), stopped_by, seed.

    ```sh
    seqgen sample --prompt "ROMEO:" --length 400
    echo "To be" | seqgen sample --temperature 0.7 | head -5
    seqgen sample -n 3 --stop ";" --seed 1 --json
    ```
    """
    terminal = Terminal(quiet=quiet, verbose=verbose)
    options.refuse_idle(
        ctx,
        options.idle_unless(temperature > 0, ("top_k", "top_p", "seed"), "with --temperature 0")
        | options.idle_unless(not greedy, ("temperature", "top_k", "top_p", "seed"), "with --greedy"),
    )
    config = SamplingConfig(temperature=0.0 if greedy else temperature, top_k=top_k, top_p=top_p)
    if prompt not in (None, "-"):
        streams.refuse_file(prompt, "seqgen sample")
        begin = streams.typed(prompt, "the prompt")
    else:
        begin = streams.read_prompt()
    stop = streams.typed(stop, "the string to stop at")

    from seqgen.data.unseen import Unseen
    from seqgen.seeds import fresh
    from seqgen.tasks.language.model import LanguageModel
    from seqgen.tasks.language.write import Writer, stream_seeds

    used, count = ready(device, threads)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = LanguageModel.load(model, used)
    terminal.detail(f"{loaded.directory}; {used}, {counted(count, 'thread')}; {in_words(loaded.network.config)}")
    unseen = Unseen()
    unseen.add(loaded.tokenizer.unseen(begin))
    if unseen.count:
        terminal.warn(str(unseen))
    if seed is None:
        seed = fresh()
        if config.temperature > 0:
            terminal.note(f"seed {seed}")
    writer = Writer(loaded.network, loaded.tokenizer, config, stop)
    begin = writer.begin(begin)
    pieces = writer.write(begin, length=length, seeds=stream_seeds(seed, n))
    if as_json:
        _print_json(writer, _collect(pieces, n), begin, seed)
    elif n == 1:
        _print_stream(pieces, begin)
    else:
        _print_all(_collect(pieces, n), begin)


def _print_stream(pieces: Iterator[tuple[int, str]], begin: str) -> None:
    """Each character at once on a terminal, each line at once into a pipe."""
    import sys

    live = sys.stdout is not None and sys.stdout.isatty()
    streams.write(begin)
    last = begin
    for _, text in pieces:
        streams.write(text)
        if live or "\n" in text:
            streams.flush()
        last = text
    if not last.endswith("\n"):
        streams.write("\n")


def _print_all(texts: list[str], begin: str) -> None:
    """Texts in order, a line of dashes between them."""
    for index, text in enumerate(texts):
        whole = begin + text
        streams.write((BETWEEN if index else "") + whole + ("" if whole.endswith("\n") else "\n"))


def _print_json(writer: Writer, texts: list[str], begin: str, seed: int) -> None:
    for index, text in enumerate(texts):
        written = writer.finished[index]
        streams.write_json(
            {
                "index": index,
                "prompt": begin,
                "text": text,
                "tokens": written.tokens,
                "log_prob": round(written.log_prob, 4),
                "stopped_by": written.stopped_by,
                "seed": seed,
            }
        )


def _collect(pieces: Iterator[tuple[int, str]], count: int) -> list[str]:
    """Whole texts from pieces that come in turn; a text may be empty."""
    texts: list[list[str]] = [[] for _ in range(count)]
    for index, text in pieces:
        texts[index].append(text)
    return ["".join(parts) for parts in texts]
