"""The options that several commands share, declared once: same name, same help, same panel everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from seqgen.config import PeepholeKind, Precision, Schedule, Weights

DATA, MODEL, TRAINING, SAVING, MACHINE = "Data", "Model", "Training", "Saving", "Machine"

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Run directory.", rich_help_panel=SAVING)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.", rich_help_panel=SAVING)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.", rich_help_panel=SAVING)]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Take settings from a training.json; options win.", rich_help_panel=SAVING),
]
SaveEvery = Annotated[int, typer.Option(help="Steps between checkpoints.", rich_help_panel=SAVING)]
LogEvery = Annotated[int, typer.Option(help="Steps between lines of metrics.jsonl.", rich_help_panel=SAVING)]
WeightsOption = Annotated[
    Weights, typer.Option("--weights", help="Number format of the finished model.", rich_help_panel=SAVING)
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard events too.", rich_help_panel=SAVING)
]

Steps = Annotated[int | None, typer.Option(help="Train for this many steps.", rich_help_panel=TRAINING)]
Epochs = Annotated[float | None, typer.Option(help="Train for this many epochs.", rich_help_panel=TRAINING)]
Minutes = Annotated[
    float | None,
    typer.Option(help="Train for this long; the length in steps is measured.", rich_help_panel=TRAINING),
]
BatchSize = Annotated[int, typer.Option(help="Examples (lanes of text) per step.", rich_help_panel=TRAINING)]
GradAccumulation = Annotated[
    int, typer.Option(help="Compute each step in this many parts, in less memory.", rich_help_panel=TRAINING)
]
LearningRate = Annotated[float, typer.Option("--lr", help="Peak learning rate.", rich_help_panel=TRAINING)]
ScheduleOption = Annotated[
    Schedule, typer.Option("--schedule", help="How the learning rate falls.", rich_help_panel=TRAINING)
]
Warmup = Annotated[
    int, typer.Option("--warmup", help="Steps in which the learning rate rises.", rich_help_panel=TRAINING)
]
WeightDecay = Annotated[
    float, typer.Option(help="AdamW decay; recurrent matrices are spared.", rich_help_panel=TRAINING)
]
DecayRecurrent = Annotated[
    bool,
    typer.Option("--decay-recurrent", help="Decay recurrent matrices too: memory fades.", rich_help_panel=TRAINING),
]
Peephole = Annotated[
    PeepholeKind,
    typer.Option(help="What gates of --cell peephole see: own unit, or all.", rich_help_panel=MODEL),
]
Clip = Annotated[float, typer.Option(help="Largest global gradient norm; 0: no clipping.", rich_help_panel=TRAINING)]
Ema = Annotated[float, typer.Option(help="Decay of the averaged weights; 0: none.", rich_help_panel=TRAINING)]
EvalEvery = Annotated[int, typer.Option(help="Steps between validations.", rich_help_panel=TRAINING)]
Patience = Annotated[
    int, typer.Option(help="Stop after this many validations without a better one; 0: never.", rich_help_panel=TRAINING)
]
TrainingSeed = Annotated[int, typer.Option("--seed", help="Same seed, same run.", rich_help_panel=TRAINING)]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="auto: bf16 where the hardware has it.", rich_help_panel=MACHINE),
]

SamplingSeed = Annotated[int | None, typer.Option("--seed", help="Same seed, same text; drawn and printed if absent.")]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", envvar="SEQGEN_DEVICE", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int, typer.Option(min=0, help="Threads; 0: PyTorch's choice.", envvar="SEQGEN_THREADS", rich_help_panel=MACHINE)
]
Processes = Annotated[
    int, typer.Option(min=1, help="Processes that share each batch, as torchrun starts them.", rich_help_panel=MACHINE)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=MACHINE)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Settings, device and sizes too.", rich_help_panel=MACHINE)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def model(default: str) -> Any:
    """The `--model` option of a command that has a shipped model."""
    return typer.Option("--model", "-m", help=f"Model directory or name; {default} is shipped.")


class ValidCommand(TyperCommand):
    """A command whose `--valid` takes one value, or two: a source and a target."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--valid A B` as `--valid A --valid B`, unless B is all that there is to train on."""
        for i, word in enumerate(args):
            pair = args[i + 1 : i + 3]
            if word == "--valid" and len(pair) == 2 and not any(value.startswith("-") for value in pair):
                spread = [*args[: i + 2], "--valid", *args[i + 2 :]]
                words, _, _ = self.make_parser(ctx).parse_args(args=list(spread))
                if words.get("paths") or {"--resume", "--config"} & set(args):
                    args = spread
                break
        return super().parse_args(ctx, args)


class SpreadCommand(TyperCommand):
    """A command without arguments, some of whose options take any number of values: `--compare A B C`."""

    spread = frozenset({"--compare", "--gradients"})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--compare A B` as `--compare A --compare B`."""
        words: list[str] = []
        option = None
        for word in args:
            if word.startswith("-") and word != "-":
                option = word if word in self.spread else None
            elif option and words[-1] != option:
                words.append(option)
            words.append(word)
        return super().parse_args(ctx, words)


def given(ctx: typer.Context) -> dict[str, Any]:
    """The parameters that the person set, on the command line or by a variable, without the defaults."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {
        name: ctx.params[name]
        for name, source in sources.items()
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
    }
