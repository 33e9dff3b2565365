"""All comparisons with peers, in one run.

    python tests/benchmarks/run.py
    python tests/benchmarks/run.py sampling startup --repeats 9 --threads 1 --json measured.json

Both sides are measured in turn, A B A B ..., after one turn that does not count. The table shows the medians and
the ratio of the medians, with the smallest and largest ratio of a repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch
from compare_classification import classification
from compare_gan import gan
from compare_image_translation import image_translation
from compare_loss import loss
from compare_sampling import sampling
from compare_startup import startup
from compare_training import training
from compare_transformer import transformer
from compare_translation import translation
from measuring import Row, Settings, table, to_json
from memory import memory

BENCHMARKS: dict[str, Callable[[Settings], list[Row]]] = {
    "training": training,
    "loss": loss,
    "sampling": sampling,
    "translation": translation,
    "transformer": transformer,
    "gan": gan,
    "image-translation": image_translation,
    "classification": classification,
    "startup": startup,
    "memory": memory,
}
USUAL = tuple(name for name in BENCHMARKS if name != "memory")


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all but memory if none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    chosen = parser.parse_args()
    names = chosen.names or USUAL
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    settings = Settings(repeats=max(1, chosen.repeats), threads=chosen.threads, quick=chosen.quick)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__}"
    print(f"{settings.threads} threads, {settings.repeats} repeats; {machine}\n", flush=True)
    rows: list[Row] = []
    for name in names:
        found = BENCHMARKS[name](settings)
        print(table(found), end="\n\n", flush=True)
        rows += found
    if chosen.json:
        measured = {"threads": settings.threads, "repeats": settings.repeats, "machine": machine, "rows": to_json(rows)}
        chosen.json.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
