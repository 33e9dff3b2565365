"""`seqgen classify`: a label for each line, or for each word of each line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, streams
from seqgen.cli.answering import note_shipped, ready
from seqgen.cli.terminal import Terminal
from seqgen.config import MACHINE, in_words
from seqgen.errors import UsageError
from seqgen.wording import counted

if TYPE_CHECKING:
    from seqgen.tasks.classification.classify import Labelled

DEFAULT = "surnames"
BATCH = 64


def classify(
    ctx: typer.Context,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts; else lines from stdin (-).")] = None,
    model: Annotated[str, options.model(DEFAULT)] = DEFAULT,
    scores: Annotated[bool, typer.Option("--scores", help="A column with the label's probability.")] = False,
    top: Annotated[
        int, typer.Option(min=1, metavar="K", help="The K most probable labels, each with its probability.")
    ] = 1,
    sentences: Annotated[
        bool, typer.Option("--sentences", help="Of a model of words: a line is a sentence, not a word.")
    ] = False,
    as_json: options.Json = False,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Texts at a time; 1 on a terminal, else {BATCH}.", rich_help_panel=MACHINE),
    ] = None,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Label texts: n lines in, n lines out, in order; an empty line stays empty.

    A model of words (train-classifier --per-token) reads one word a line, a blank line after each sentence, and adds a
    column with its label; what stands behind a tab is kept. With --sentences, and of texts in the command, a line is a
    sentence, and its labels are parted by spaces, probabilities behind an equals sign. Else columns are separated by
    tabs. JSON keys: text, label, probability, labels (with --top: label and probability of each); of words: text and
    words, each with word and these keys.

    ```sh
    echo Satoshi | seqgen classify --top 3
    seqgen classify --json < names.txt
    seqgen classify --scores "Nguyen" "O'Brien"
    ```
    """
    from seqgen.tasks.classification.classify import Labeller
    from seqgen.tasks.classification.model import ClassifierModel

    terminal = Terminal(quiet=quiet, verbose=verbose)
    used, count = ready(device, threads or 1)
    note_shipped(model, named="model" in options.given(ctx), terminal=terminal)
    loaded = ClassifierModel.load(model, used)
    per_token = loaded.reader.per_token
    options.refuse_idle(ctx, options.idle_unless(per_token, ("sentences",), "on a model that labels whole texts"))
    if texts and texts != ["-"]:
        options.refuse_idle(ctx, {"sentences": "with texts in the command, which are sentences"})
    options.refuse_idle(ctx, options.idle_unless(not as_json, ("scores",), "with --json, which shows them"))
    terminal.detail(f"{loaded.directory}; {used}, {counted(count, 'thread')}; {in_words(loaded.network.config)}")
    texts = [] if texts in (None, ["-"]) else texts
    live = not texts and streams.stdin_is_a_person()
    if live:
        terminal.note("one text a line; Ctrl-D ends" if not per_token or sentences else "one word a line; Ctrl-D ends")
    labeller = Labeller(loaded, top=top, batch_size=batch_size or (1 if live else BATCH))
    lines = _texts(texts) if texts else streams.read_lines()
    cut = 0
    writer = _Writer(top=top, scores=scores, as_json=as_json)
    if per_token and not (sentences or texts):
        writer.write_columns(labeller, lines, terminal)
    else:
        for found in labeller.label(lines):
            cut += found.cut
            writer.write_line(found, per_token=per_token)
            streams.flush()
    if cut:
        terminal.warn(f"{counted(cut, 'text')} of more than {loaded.reader.max_length} tokens: the rest was not read")


def _texts(texts: list[str]) -> list[str]:
    for text in texts:
        if text == "-":
            raise UsageError("- stands for standard input: it goes with no text beside it")
        streams.refuse_file(text, "seqgen classify")
    return [streams.typed(text, "the text") for text in texts]


class _Writer:
    """Writes labels as they were asked for."""

    def __init__(self, *, top: int, scores: bool, as_json: bool) -> None:
        self._several, self._scores, self._as_json = top > 1, scores or top > 1, as_json
        self._warned = False

    def write_line(self, found: Labelled, *, per_token: bool) -> None:
        """A text on a line of its own."""
        if self._as_json:
            streams.write_json(self._described(found, per_token=per_token))
        else:
            marks = " =" if per_token else "\t\t"
            streams.write(marks[0].join(self._shown(labels, marks[1]) for labels in found.labels) + "\n")

    def write_columns(self, labeller: Any, lines: Iterable[str], terminal: Terminal) -> None:
        """Each line of a stream of words with a column more; blank lines and comments are kept."""
        waiting: deque[list[str]] = deque()

        def sentences() -> Iterator[str]:
            for group in _groups(lines):
                waiting.append(group)
                if not self._warned and any(" " in line.partition("\t")[0].strip() for line in group if _is_word(line)):
                    self._warned = True
                    terminal.warn("a line with spaces is taken for one word; --sentences takes it for a sentence")
                yield " ".join("".join(line.split("\t")[0].split()) for line in group if _is_word(line))

        for found in labeller.label(sentences()):
            group, labels = waiting.popleft(), iter(found.labels)
            if self._as_json:
                if found.labels:
                    streams.write_json(self._described(found, per_token=True))
            else:
                for line in group:
                    streams.write(f"{line}\t{self._shown(next(labels))}\n" if _is_word(line) else f"{line}\n")
            streams.flush()

    def _shown(self, labels: Any, mark: str = "\t") -> str:
        if not self._scores:
            return str(labels[0].name)
        return mark.join(f"{label.name}{mark}{label.probability:.4f}" for label in labels)

    def _described(self, found: Labelled, *, per_token: bool) -> dict[str, Any]:
        if per_token:
            words = zip(found.text.split(), found.labels, strict=True)
            return {"text": found.text, "words": [{"word": word, **self._answer(labels)} for word, labels in words]}
        return {"text": found.text, **self._answer(found.labels[0] if found.labels else ())}

    def _answer(self, labels: Sequence[Any]) -> dict[str, Any]:
        """The best label, and with --top the best ones."""
        known = [{"label": label.name, "probability": round(label.probability, 6)} for label in labels]
        best = known[0] if known else {"label": None, "probability": None}
        return {**best, **({"labels": known} if self._several else {})}


def _is_word(line: str) -> bool:
    """Whether a line has a word to label: no blank one, and no comment of CoNLL-U."""
    return bool(line.strip()) and not (line.startswith("# ") and "\t" not in line)


def _groups(lines: Iterable[str]) -> Iterator[list[str]]:
    """The lines of each sentence, with the blank line that ends it."""
    group: list[str] = []
    for line in lines:
        group.append(line)
        if not line.strip():
            yield group
            group = []
    if group:
        yield group
