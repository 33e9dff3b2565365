"""The model card: what a model is, how good it is, and the command that makes it again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import torch

from seqgen import __version__
from seqgen.train.recipe import Made

_TEMPLATE = """\
# {name}

{kind}

```sh
{use}
```

## Data

{data}

## Measures

{measures}

Measured on {date}, seqgen {version}, torch {torch_version}. Step {step}, {minutes:.1f} minutes of training.

## Made by

```sh
{command}
```

`training.json` holds every setting, `metrics.jsonl` every logged step.
"""


def model_card(made: Made, *, kind: str, use: str, data: str, measures: str) -> str:
    """A model card in Markdown.

    Args:
        made (Made): name, step, time and command.
        kind (str): what the model is, and what it is not.
        use (str): a command that uses it.
        data (str): what it was trained on, and whose that is.
        measures (str): how good it is, and on what.
    """
    return _TEMPLATE.format(
        name=made.name,
        kind=kind,
        use=use,
        data=data,
        measures=measures,
        date=datetime.date.today().isoformat(),
        version=__version__,
        torch_version=torch.__version__,
        step=made.step,
        minutes=made.minutes,
        command=made.command,
    )


def table(columns: Mapping[str, str]) -> str:
    """A Markdown table of one row."""
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n| {' | '.join(columns.values())} |"
