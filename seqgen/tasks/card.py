"""The model card: what a model is, how good it is, and the command that makes it again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from seqgen import __version__
from seqgen.config import LanguageModelSettings

_TEMPLATE = """\
# {name}

A {tokens} language model: {layers} {cell} layers of {hidden}, embedding {embed}, {parameters:,} parameters.
It continues text in the manner of what it was trained on, and knows nothing else.

```sh
seqgen sample -m {name} --length 300
```

## Data

Trained on {paths}; {held_out}. The text and its licence are its owner's; the weights may repeat parts of it.

## Measures

{measures}

Measured on {date}, seqgen {version}, torch {torch_version}. Step {step}, {minutes:.1f} minutes of training.

## Made by

```sh
{command}
```

`training.json` holds every setting, `metrics.jsonl` every logged step.
"""


def language_model_card(
    settings: LanguageModelSettings,
    *,
    name: str,
    parameters: int,
    step: int,
    minutes: float,
    measures: Mapping[str, float] | None,
    command: str,
    torch_version: str,
) -> str:
    """The card of a language model, in Markdown.

    Args:
        settings (LanguageModelSettings): what made it.
        name (str): the model's.
        parameters (int): how many weights.
        step (int): the step of the published weights.
        minutes (float): training time.
        measures (Mapping[str, float] | None): of one exact pass over the validation part, if there is one.
        command (str): what was typed.
        torch_version (str): the version that trained it.
    """
    text, network = settings.text, settings.network
    held_out = f"the last {text.valid_fraction:.0%} held out" if text.valid_fraction else f"validated on `{text.valid}`"
    if text.valid_fraction == 0:
        held_out = "nothing held out"
    return _TEMPLATE.format(
        name=name,
        tokens="character" if text.tokens == "char" else "subword (sentencepiece)",
        layers=network.num_layers,
        cell=network.cell.upper(),
        hidden=network.hidden_size,
        embed=network.embed_size,
        parameters=parameters,
        paths=", ".join(f"`{path}`" for path in text.paths),
        held_out=held_out,
        measures=_table(measures),
        date=datetime.date.today().isoformat(),
        version=__version__,
        torch_version=torch_version,
        step=step,
        minutes=minutes,
        command=command,
    )


def _table(measures: Mapping[str, float] | None) -> str:
    if measures is None:
        return "None: there was no validation part."
    return f"""\
One sequential pass over the whole validation part, state carried throughout:

| nats per token | bits per character | perplexity per token | tokens |
|---|---|---|---|
| {measures["loss"]:.4f} | {measures["bits_per_char"]:.4f} | {measures["perplexity"]:.3f} | {measures["tokens"]:,} |"""
