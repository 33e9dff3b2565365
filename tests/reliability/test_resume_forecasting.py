"""Forecasters too: interrupted and resumed equals uninterrupted, bit for bit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_runs import Run, SignalAt, assert_same_run, checkpoint_paths, records

from seqgen.cli.commands import train_forecaster
from seqgen.config import ForecasterConfig, ForecasterSettings, SeriesConfig, TrainConfig
from seqgen.config.forecasting import Response
from seqgen.errors import Interrupted
from seqgen.tasks.forecasting.forecast import forecast
from seqgen.tasks.forecasting.model import ForecasterModel

STEPS = 20
KINDS: list[tuple[Response, float]] = [("finite", 0.9), ("infinite", 0.0)]
# Before the first step, after it, at a save, at an evaluation, in the second epoch, at the last.
MOMENTS = [0, 1, 5, 8, 14, STEPS - 1]
RARER = [pytest.param(m, marks=pytest.mark.slow) if m in (0, 1, 8, STEPS - 1) else m for m in MOMENTS]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, draw = tmp_path_factory.mktemp("series") / "table.csv", random.Random(0)
    rows = (f"{1900 + i // 12}-{i % 12 + 1:02d},{math.sin(i / 3) + draw.random():.3f}\n" for i in range(200))
    path.write_text("date,x\n" + "".join(rows))
    return path


def run_of(number: int, table: Path, directory: Path) -> Run:
    response, ema = KINDS[number]
    settings = ForecasterSettings(
        series=SeriesConfig(paths=(str(table),), valid=0.2, test=0.2),
        network=ForecasterConfig(response=response, horizon=4, hidden_size=6, order=5, num_layers=2),
        train=TrainConfig(
            steps=STEPS,
            batch_size=8,
            grad_accumulation=2,
            warmup_steps=3,
            eval_every=8,
            save_every=5,
            log_every=1,
            ema=ema,
            precision="fp32",
            device="cpu",
            threads=1,
        ),
    )
    return Run(settings, directory, command=train_forecaster.COMMAND)


@pytest.fixture(scope="module")
def undisturbed(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Run]:
    """A finished run of each kind, made once."""
    made: dict[int, Run] = {}

    def get(number: int) -> Run:
        if number not in made:
            made[number] = run_of(number, table, tmp_path_factory.mktemp("undisturbed") / "run")
            with pytest.MonkeyPatch.context() as patch:
                made[number].go(patch)
        return made[number]

    return get


def forecasts(directory: Path) -> list[list[float]]:
    model = ForecasterModel.load(str(directory), torch.device("cpu"))
    found: list[list[float]] = forecast(model, model.history[0], model.fitted[0], 6).quantiles.tolist()
    return found


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("step", RARER)
def test_interrupted_and_resumed_equals_undisturbed(
    number: int,
    step: int,
    table: Path,
    undisturbed: Callable[[int], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, run = undisturbed(number), run_of(number, table, tmp_path / "run")
    with pytest.raises(Interrupted) as caught:
        run.go(monkeypatch, listener=SignalAt(step))
    assert caught.value.exit_code == 130
    assert caught.value.hint == f"go on with: seqgen train-forecaster --resume --out {run.directory}"
    assert checkpoint_paths(run.directory)[-1].name == f"step-{step:08d}"
    run.go(monkeypatch, resume=True)
    assert_same_run(run.directory, reference.directory)
    assert (run.directory / "config.json").read_bytes() == (reference.directory / "config.json").read_bytes()
    assert forecasts(run.directory) == forecasts(reference.directory)


def test_the_runs_compared_here_learn_and_pass_an_epoch(undisturbed: Callable[[int], Run]) -> None:
    steps = [record for record in records(undisturbed(0).directory) if "epoch" in record]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert steps[MOMENTS[-2] - 1]["epoch"] > 0.9
