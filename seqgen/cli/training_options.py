"""The options that all training commands share, declared once, and how a command gets them.

    @training_options(TrainConfig(...))
    def train_lm(ctx: typer.Context, ..., **shared: Any) -> None: ...

A command's own parameters come first; one of the same name as a shared option takes its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from seqgen.cli import options
from seqgen.cli.options import MACHINE, SAVING, TRAINING
from seqgen.config import Schedule, TrainConfig, Weights

Body = TypeVar("Body", bound=Callable[..., None])


def _option(kind: Any, text: str, panel: str, *names: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, help=text, rich_help_panel=panel, **more)]


SHARED: Mapping[str, Any] = {
    "steps": _option(int | None, "Train for this many steps.", TRAINING),
    "epochs": _option(float | None, "Train for this many epochs.", TRAINING),
    "minutes": _option(float | None, "Train for this long; the length in steps is measured.", TRAINING),
    "batch_size": _option(int, "Examples (lanes of text) per step.", TRAINING),
    "grad_accumulation": _option(int, "Compute each step in this many parts, in less memory.", TRAINING),
    "lr": _option(float, "Peak learning rate.", TRAINING, "--lr"),
    "schedule": _option(Schedule, "How the learning rate falls.", TRAINING, "--schedule"),
    "warmup_steps": _option(int, "Steps in which the learning rate rises.", TRAINING, "--warmup"),
    "weight_decay": _option(float, "AdamW decay; recurrent matrices are spared.", TRAINING),
    "beta1": _option(float, "Adam's memory of gradients.", TRAINING, "--beta1"),
    "beta2": _option(float, "Adam's memory of their squares.", TRAINING, "--beta2"),
    "clip": _option(float, "Largest global gradient norm; 0: no clipping.", TRAINING),
    "ema": _option(float, "Decay of the averaged weights; 0: none.", TRAINING),
    "eval_every": _option(int, "Steps between validations.", TRAINING),
    "patience": _option(int, "Stop after this many validations without a better one; 0: never.", TRAINING),
    "seed": _option(int, "Same seed, same run.", TRAINING, "--seed"),
    "out": _option(Path | None, "Run directory.", SAVING, "--out", "-o"),
    "resume": _option(bool, "Go on with the run in --out.", SAVING, "--resume"),
    "overwrite": _option(bool, "Replace the run in --out.", SAVING, "--overwrite"),
    "config": _option(Path | None, "Take settings from a training.json; options win.", SAVING, "--config"),
    "save_every": _option(int, "Steps between checkpoints.", SAVING),
    "log_every": _option(int, "Steps between lines of metrics.jsonl.", SAVING),
    "weights": _option(Weights, "Number format of the finished model.", SAVING, "--weights"),
    "tensorboard": _option(bool, "Write TensorBoard events too.", SAVING, "--tensorboard"),
    "precision": options.TrainingPrecision,
    "device": options.Device,
    "threads": options.Threads,
    "processes": _option(int, "Processes that share each batch, as torchrun starts them.", MACHINE, min=1),
    "quiet": options.Quiet,
    "verbose": options.Verbose,
}

# What is no setting of the run.
HOW: Mapping[str, Any] = {
    "out": None,
    "resume": False,
    "overwrite": False,
    "config": None,
    "tensorboard": False,
    "processes": 1,
    "quiet": False,
    "verbose": False,
}


def training_options(defaults: TrainConfig, *, without: Container[str] = ()) -> Callable[[Body], Body]:
    """Give a command the shared options.

    Args:
        defaults (TrainConfig): what the help shows.
        without (Container[str]): those that the command does not know.
    """

    def extended(command: Body) -> Body:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=HOW[name] if name in HOW else getattr(defaults, name),
                annotation=annotation,
            )
            for name, annotation in SHARED.items()
            if name not in signature.parameters and name not in without
        ]
        command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ |= {parameter.name: parameter.annotation for parameter in added}
        return command

    return extended
