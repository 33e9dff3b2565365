"""`seqgen train-forecaster`: a network that goes on with a series of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen.cli.training import Command
from seqgen.cli.training_options import training_options
from seqgen.config import ForecasterSettings
from seqgen.errors import UsageError

if TYPE_CHECKING:
    from seqgen.train.recipe import Recipe

DEFAULTS = ForecasterSettings()


@training_options({"": DEFAULTS})
def train_forecaster(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="CSV", help="A table with a row for each date; commas, semicolons or tabs."),
    ] = None,
    **chosen: Any,
) -> None:
    """Train a network to forecast a series, with a band, and measure it beside simple forecasts.

    The last rows are kept from all that is learned or chosen, to measure by. It stops when it gets no better. Ctrl-C
    saves and stops; --resume goes on bit for bit.

    ```sh
    seqgen train-forecaster sales.csv --out sales
    seqgen train-forecaster prices.csv --column close --response infinite --cell lstm --horizon 5
    seqgen train-forecaster stocks.csv --group symbol --column price --difference last
    ```
    """
    COMMAND.run(ctx)


def _recipe(settings: ForecasterSettings, warn: Callable[[str], None]) -> Recipe[Any]:
    from seqgen.tasks.forecasting.recipe import ForecasterRecipe

    return ForecasterRecipe(settings, warn)


COMMAND = Command(
    DEFAULTS,
    missing=UsageError("no series to forecast", hint="seqgen train-forecaster TABLE.csv"),
    recipe=_recipe,
)
