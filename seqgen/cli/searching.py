"""The options of a search, declared once for all commands that write by one: `translate` and `caption`.

@search_options(SearchConfig(), before="max_length")
def translate(ctx: typer.Context, texts: ..., max_length: ..., **chosen: Any) -> None:
search = chosen_search(ctx, SearchConfig(), terminal)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli import options, pictures, streams
from seqgen.cli.declared_options import Body, own_parameters, with_parameters
from seqgen.cli.pictures import ChartFile
from seqgen.cli.terminal import Terminal
from seqgen.config import SamplingConfig, SearchConfig
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.tasks.targets import Method

METHOD, WANTED, SHOWN = "How to search", "Which output", "What to show"
SEARCH, SAMPLING = SearchConfig(), SamplingConfig()


def _declared(
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
        int, typer.Option(help="Prefixes an exhaustive search may expand for an output.", rich_help_panel=METHOD)
    ] = SEARCH.max_nodes,
    max_seconds: Annotated[
        float, typer.Option(help="Seconds it may take for an output; 0: no limit.", rich_help_panel=METHOD)
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
        Path | None, typer.Option(help="Draw the first search as a picture.", rich_help_panel=SHOWN)
    ] = None,
    attention_png: Annotated[
        Path | None,
        typer.Option(help="Draw the first attention: a .png, .svg or .pdf.", rich_help_panel=SHOWN),
    ] = None,
    font: options.Font = None,
    as_json: options.Json = False,
) -> None:
    """The options as Typer reads them: it is never called."""


def search_options(search: SearchConfig, *, before: str, without: tuple[str, ...] = ()) -> Callable[[Body], Body]:
    """Give a command the options of a search.

    Args:
        search (SearchConfig): the defaults.
        before (str): the parameter of the command that they stand before.
        without (tuple[str, ...]): those that the command does not have.
    """

    def extended(command: Body) -> Body:
        own = own_parameters(command)
        place = [p.name for p in own].index(before)
        known = (p.replace(default=getattr(search, p.name, p.default)) for p in own_parameters(_declared))
        return with_parameters(command, [*own[:place], *(p for p in known if p.name not in without), *own[place:]])

    return extended


@dataclass(frozen=True)
class Search:
    """What was asked for.

    Args:
        method (Method): how an output is searched for.
        config (SearchConfig): which output is wanted.
        sampling (SamplingConfig): how `sample` draws.
        seed (int): of `sample`.
        prefix (str): what each output begins with.
        scores (bool): whether scores are shown.
        alignments (bool): whether it is shown what was attended to.
        as_json (bool): whether all is shown as JSON.
        show_beams (bool): whether the tree of the search is drawn.
        beam_svg (Path | None): where to draw the first tree as a picture.
        chart (ChartFile): where to draw the first attention.
    """

    method: Method
    config: SearchConfig
    sampling: SamplingConfig
    seed: int
    prefix: str
    scores: bool
    alignments: bool
    as_json: bool
    show_beams: bool
    beam_svg: Path | None
    chart: ChartFile

    @property
    def trees(self) -> bool:
        """Whether a tree is drawn."""
        return self.show_beams or self.beam_svg is not None

    @property
    def attention(self) -> bool:
        """Whether attention is shown in some way."""
        return self.alignments or self.as_json or self.chart.path is not None


def chosen_search(ctx: typer.Context, defaults: SearchConfig, terminal: Terminal) -> Search:
    """What the options of `search_options` ask for; a seed that is drawn is told.

    Raises:
        UsageError: options that do not go together.
    """
    from seqgen.seeds import fresh

    typed = ctx.params
    method = _method(typed)
    config = SearchConfig(
        **{name: typed[name] for name in vars(defaults) if name != "beam_size" and name in typed},
        beam_size=typed["beam"] or max(defaults.beam_size, typed["n_best"]),
    )
    sampling = SamplingConfig(**{name: typed[name] for name in vars(SAMPLING)})
    options.refuse_idle(ctx, _idle(method, typed))
    if config.n_best > config.beam_size and method == "beam":
        raise UsageError(f"--beam {config.beam_size} has no {config.n_best} best", hint="use a larger --beam")
    pictures.format_of(typed["beam_svg"], "--beam-svg", pictures.SVG)
    seed = typed["seed"]
    if seed is None:
        seed = fresh()
        if method == "sample":
            terminal.note(f"seed {seed}")
    return Search(
        method,
        config,
        sampling,
        seed,
        prefix=streams.typed(typed["prefix"], "the prefix"),
        scores=typed["scores"],
        alignments=typed.get("alignments", False),
        as_json=typed["as_json"],
        show_beams=typed["show_beams"],
        beam_svg=typed["beam_svg"],
        chart=ChartFile("--attention-png", typed["attention_png"], typed["font"], terminal),
    )


def _method(typed: dict[str, Any]) -> Method:
    """The one search that was asked for; `--exhaustive --beam K` says how wide its first beam is."""
    names = {"greedy": "greedy", "exhaustive": "exhaustive", "sampled": "sample"}
    chosen = [name for field, name in names.items() if typed[field]]
    beam = ["beam"] if typed["beam"] else []
    if len(chosen) > 1 or (beam and chosen and chosen != ["exhaustive"]):
        raise UsageError(f"{' and '.join(f'--{name}' for name in [*chosen, *beam])}: choose one")
    match chosen:
        case ["greedy"]:
            return "greedy"
        case ["exhaustive"]:
            return "exhaustive"
        case ["sample"]:
            return "sample"
        case _:
            return "beam"


def _idle(method: Method, typed: dict[str, Any]) -> dict[str, str]:
    """What the chosen search and the chosen output leave without effect (`options.refuse_idle`)."""
    searched = method not in ("greedy", "sample")  # what follows one path has nothing to choose among
    shown = typed["scores"] or typed["as_json"]
    return (
        options.idle_unless(method == "sample", ("temperature", "top_k", "top_p", "seed"), "without --sample")
        | options.idle_unless(typed["temperature"] > 0, ("top_k", "top_p", "seed"), "with --temperature 0")
        | options.idle_unless(method == "exhaustive", ("max_nodes", "max_seconds"), "without --exhaustive")
        | options.idle_unless(method == "beam", ("max_hypotheses",), f"with --{method}")
        | options.idle_unless(searched, ("n_best", "show_beams", "beam_svg"), f"with --{method}")
        | options.idle_unless(
            searched or shown, ("length_penalty", "coverage_penalty"), f"with --{method}, but on --scores and --json"
        )
        | options.idle_unless(not typed["as_json"], ("scores", "alignments"), "with --json, which shows both")
        | options.idle_unless(typed["attention_png"] is not None, ("font",), "without --attention-png")
    )
