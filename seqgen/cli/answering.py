"""Which model answers, and what of: every result says so, and nobody takes the shipped model for one of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen.cli.terminal import Terminal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Judged:
    """What a figure is of; it is shown with it.

    Args:
        model (str | None): as it was found, None where two sets of images are compared.
        data (Sequence[str]): the paths that were typed.
    """

    model: str | None
    data: Sequence[str]

    def described(self, measures: Mapping[str, Any]) -> dict[str, Any]:
        """One object: model, data, and the measures."""
        model = {} if self.model is None else {"model": self.model}
        return {**model, "data": list(self.data), **measures}

    def heading(self, width: int) -> str:
        """The first lines of a table of measures whose names are so wide."""
        model = "" if self.model is None else f"{'model':{width}}{self.model}\n"
        return f"{model}{'data':{width}}{', '.join(self.data)}\n"


def answering(name: str) -> str:
    """What to call the model that answers to a name: where it is, or its name and that it is shipped."""
    from seqgen import modeldir

    place = modeldir.locate(name)
    return f"{name} (shipped)" if _is_shipped(place) else str(place)


def note_shipped(name: str, *, named: bool, terminal: Terminal) -> None:
    """Tell that the shipped model answers, where a person has models of the same kind and may have meant one.

    Args:
        name (str): of the model.
        named (bool): whether the person named it.
        terminal (Terminal): where to tell it.
    """
    from seqgen import modeldir

    place = modeldir.locate(name)
    if named or not _is_shipped(place):
        return
    if own := next(_own_models(modeldir.read_config(place).task), None):
        terminal.note(f"the shipped {name} answers; of your own: -m {own}")


def _is_shipped(place: Path) -> bool:
    from seqgen import modeldir

    shipped = modeldir.shipped_directory()
    return shipped is not None and place.resolve().parent == shipped.resolve()


def _own_models(task: str) -> Iterator[Path]:
    """Models of a kind in the current directory and below `models`, the latest first."""
    from seqgen import modeldir
    from seqgen.errors import ModelError

    folders = [Path(entry.path) for place in (".", "models") if os.path.isdir(place) for entry in os.scandir(place)]
    found = [folder for folder in folders if (folder / modeldir.CONFIG).is_file() and not _is_shipped(folder)]
    for folder in sorted(found, key=lambda folder: -folder.stat().st_mtime):
        try:
            if modeldir.read_config(folder).task == task:
                yield folder
        except ModelError:  # whatever it is, it is not what was meant
            continue


def ready(device: str, threads: int) -> tuple[torch.device, int]:
    """The device of a command that uses a model, and how many threads it works with; 0 for what is fastest now.

    Raises:
        UsageError: there is no such device.
    """
    from seqgen.train import machine

    used = machine.choose_device(device)
    count = machine.set_threads(threads, used)
    machine.keep_memory()
    return used, count
