"""The training loop with two toy tasks: a regression with one player, and a tiny GAN with two."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgen.config import TrainConfig
from seqgen.errors import CollapsedError, Interrupted, NonFiniteError
from seqgen.seeds import derive
from seqgen.train.checkpoint import Checkpoint, CheckpointStore
from seqgen.train.distributed import Group
from seqgen.train.log import Listener, MetricsLog, Record
from seqgen.train.loop import Trainer
from seqgen.train.optim import Average
from seqgen.train.progress import Progress
from seqgen.train.stop import StopRequest
from seqgen.train.task import Task

RESUME = "seqgen train-toy --resume"
BATCH = 8


class Regression:
    """Learns a line from 40 points; each epoch sees every point once, in an order of its own.

    It carries a sum of its outputs from step to step, as a language model carries its hidden state.
    """

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(40, 3, generator=generator)
        self.targets = self.inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.players: Mapping[str, nn.Module] = {"model": self.network}
        self.steps_per_epoch = 40 // BATCH
        self.criterion: str | None = "valid_loss"
        self.seed = seed
        self.seen: list[tuple[int, int]] = []
        self.carried = torch.zeros(BATCH, 1)
        self.valid: dict[int, float] = {}
        self.step = 0
        self._batch = torch.empty(0, dtype=torch.long)
        self._outputs: list[Tensor] = []

    def prepare(self, step: int) -> int:
        if self._outputs:
            self.carried, self._outputs = self.carried + torch.cat(self._outputs), []
        epoch, index = divmod(step, self.steps_per_epoch)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(derive(self.seed, "order", epoch)))
        self._batch = order[index * BATCH : (index + 1) * BATCH]
        self.seen += [(epoch, example) for example in self._batch.tolist()]
        self.step = step + 1
        return BATCH

    def pace(self, player: str, step: int) -> float:
        return 1.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        rows = self._batch[part * BATCH // parts : (part + 1) * BATCH // parts]
        outputs = self.network(self.inputs[rows])
        self._outputs.append(outputs.detach())
        return functional.mse_loss(outputs, self.targets[rows], reduction="sum") / BATCH

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        return {"loss": losses["model"]}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        if stop():
            return None
        with torch.no_grad():
            loss = functional.mse_loss(self.network(self.inputs), self.targets).item()
        return {"valid_loss": self.valid.get(self.step, loss)}

    def sample(self, seed: int) -> str | None:
        return f"sample {seed}"

    def state(self) -> dict[str, Tensor]:
        return {"carried": self.carried + torch.cat(self._outputs) if self._outputs else self.carried}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        self.carried, self._outputs = tensors["carried"].clone(), []


class Gan:
    """A generator learns to draw from a Gaussian with mean 3; the noise comes from the loop's seed of the step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = nn.Linear(2, 1)
        self.discriminator = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        self.players: Mapping[str, nn.Module] = {"discriminator": self.discriminator, "generator": self.generator}
        self.steps_per_epoch = 10
        self.criterion = None
        self.turns: list[tuple[str, bool, bool]] = []
        self._real = torch.empty(0)

    def prepare(self, step: int) -> int:
        generator = torch.Generator().manual_seed(derive(5, "batch", step))
        self._real = 3.0 + 0.5 * torch.randn(64, 1, generator=generator)
        return 64

    def pace(self, player: str, step: int) -> float:
        return 1.0

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        wanted = {name: all(p.requires_grad for p in module.parameters()) for name, module in self.players.items()}
        self.turns.append((player, wanted["discriminator"], wanted["generator"]))
        fake = self.generator(torch.randn(64, 2))
        if player == "discriminator":
            real_loss = functional.softplus(-self.discriminator(self._real)).mean()
            return (real_loss + functional.softplus(self.discriminator(fake)).mean()) / parts
        return functional.softplus(-self.discriminator(fake)).mean() / parts

    def measures(self, losses: Mapping[str, float]) -> dict[str, float]:
        return {f"{name}_loss": value for name, value in losses.items()}

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        return {"distance": abs(self.mean() - 3.0)}

    def sample(self, seed: int) -> str | None:
        return None

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        assert tensors == {}

    @torch.no_grad()
    def mean(self) -> float:
        noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(9))
        return float(self.generator(noise).mean())


class Notes(Listener):
    """Keeps what was said, and sends a signal after a step."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.records: list[Record] = []
        self.evaluations: list[tuple[int, bool]] = []
        self.samples: list[str] = []
        self.notes: list[str] = []
        self.began: list[tuple[int, int | None]] = []
        self.stop: StopRequest | None = None

    def started(self, step: int, total_steps: int | None) -> None:
        self.began.append((step, total_steps))
        self._stop_if_due(step)

    def stepped(self, record: Record, total_steps: int | None) -> None:
        self.records.append(record)
        self._stop_if_due(record["step"])

    def evaluated(self, record: Record, *, best: bool) -> None:
        self.evaluations.append((int(record["step"]), best))

    def sampled(self, text: str) -> None:
        self.samples.append(text)

    def noted(self, message: str) -> None:
        self.notes.append(message)

    def _stop_if_due(self, step: float) -> None:
        if step == self.stop_after and self.stop:
            self.stop.signal = signal.SIGINT


def toy_config(**changes: Any) -> TrainConfig:
    chosen: dict[str, Any] = {
        "steps": 20,
        "batch_size": BATCH,
        "lr": 0.05,
        "warmup_steps": 2,
        "ema": 0.0,
        "precision": "fp32",
        "eval_every": 6,
        "save_every": 4,
        "log_every": 1,
        **changes,
    }
    return TrainConfig(**chosen)


def train(task: Task, directory: Path, config: TrainConfig, *, notes: Notes | None = None) -> Progress:
    """A session in a directory, resumed where there is something to resume."""
    notes = notes or Notes()
    directory.mkdir(exist_ok=True)
    store = CheckpointStore(directory, {"config.json": b"{}"})
    checkpoint = store.newest(notes.noted)
    log = MetricsLog(
        directory / "metrics.jsonl",
        every=config.log_every,
        size=checkpoint.state["log_size"] if checkpoint else 0,
    )
    notes.stop = StopRequest(notes.noted)
    try:
        trainer = Trainer(
            task,
            config,
            store,
            log,
            listeners=[notes],
            stop=notes.stop,
            group=Group(),
            resume_command=RESUME,
        )
        if checkpoint:
            trainer.restore(checkpoint)
        return trainer.run()
    finally:
        log.close()


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def timeless(directory: Path) -> list[dict[str, Any]]:
    clocks = ("seconds", "units_per_second")
    return [{k: v for k, v in line.items() if k not in clocks} for line in lines(directory)]


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def newest(directory: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    checkpoint = CheckpointStore(directory, {}).newest(pytest.fail)
    assert checkpoint is not None
    return checkpoint.weights, checkpoint.training


# Two players --------------------------------------------------------------------------------------------------


def gan_config(**changes: Any) -> TrainConfig:
    return toy_config(
        **{"steps": 100, "lr": 0.03, "schedule": "constant", "eval_every": 50, "save_every": 50} | changes
    )


def test_both_players_of_a_gan_learn(tmp_path: Path) -> None:
    task = Gan()
    before, first = snapshot(task.discriminator), task.mean()
    train(task, tmp_path, gan_config())
    assert abs(first - 3.0) > 2.0
    assert abs(task.mean() - 3.0) < 1.0
    changed = [name for name, value in task.discriminator.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == list(before)


def test_only_the_player_whose_turn_it_is_wants_gradients(tmp_path: Path) -> None:
    task = Gan()
    train(task, tmp_path, gan_config(steps=3))
    assert task.turns == [("discriminator", True, False), ("generator", False, True)] * 3
    assert all(p.requires_grad for module in task.players.values() for p in module.parameters())


def test_no_gradient_is_computed_for_the_player_whose_turn_it_is_not(tmp_path: Path) -> None:
    """Whenever a gradient arrives at a weight, it is its player's turn."""
    task = Gan()
    arrived: Counter[tuple[str, str]] = Counter()
    for name, module in task.players.items():
        for parameter in module.parameters():
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda _, name=name: arrived.update([(name, task.turns[-1][0])])
            )
    train(task, tmp_path, gan_config(steps=3, grad_accumulation=2))
    assert arrived == {("discriminator", "discriminator"): 4 * 3 * 2, ("generator", "generator"): 2 * 3 * 2}


def test_a_gan_logs_both_players(tmp_path: Path) -> None:
    train(Gan(), tmp_path, gan_config(steps=2))
    promised = {"step", "epoch", "lr", "seconds", "units_per_second"}
    own = {"discriminator_loss", "generator_loss", "discriminator_grad_norm", "generator_grad_norm"}
    assert lines(tmp_path)[1].keys() == promised | own


@pytest.fixture(scope="module", params=[0.0, 0.9], ids="ema{}".format)
def whole_gan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    config, directory = (
        gan_config(steps=12, eval_every=6, save_every=4, ema=request.param),
        tmp_path_factory.mktemp("gan"),
    )
    train(Gan(), directory, config)
    return config, directory


@pytest.mark.parametrize("step", [0, 1, 6, 11])
def test_a_gan_resumes_bit_for_bit(step: int, whole_gan: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = whole_gan
    parts = tmp_path / "parts"
    with pytest.raises(Interrupted):
        train(Gan(), parts, config, notes=Notes(step))
    train(Gan(), parts, config)
    for one, other in zip(newest(whole), newest(parts), strict=True):
        assert_equal(one, other)
    assert timeless(whole) == timeless(parts)
    weights, training = newest(whole)
    assert {name.split(".")[0] for name in weights} == {"generator", "discriminator"}
    assert {name.split("/")[1] for name in training if name.startswith("optimizer/")} == {"generator", "discriminator"}


class PoisonedGan(Gan):
    """The player whose turn is second has a loss that is not a number in the fifth step."""

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        loss = super().loss(player, part, parts)
        return loss * math.nan if player == "generator" and len(self.turns) == 10 else loss


def test_a_loss_of_the_second_player_that_is_no_number_names_it_and_spares_its_weights(tmp_path: Path) -> None:
    task, reference = PoisonedGan(), Gan()
    with pytest.raises(NonFiniteError, match="step 5: the loss of the generator is nan") as caught:
        train(task, tmp_path / "run", gan_config(steps=20, save_every=4, warmup_steps=0))
    assert "step 4" in caught.value.message
    train(reference, tmp_path / "reference", gan_config(steps=4, save_every=4, warmup_steps=0))
    assert_equal(snapshot(task.generator), snapshot(reference.generator))


# One player ---------------------------------------------------------------------------------------------------


def test_the_log_has_what_is_promised(tmp_path: Path) -> None:
    train(Regression(), tmp_path, toy_config(steps=8))
    steps = [line for line in lines(tmp_path) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    for line in steps:
        assert line.keys() == {"step", "epoch", "loss", "grad_norm", "lr", "seconds", "units_per_second"}
    assert [line["epoch"] for line in steps] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6]
    assert len({line["loss"] for line in steps}) == 8
    assert all(a["seconds"] < b["seconds"] for a, b in itertools.pairwise(steps))
    evaluations = [line for line in lines(tmp_path) if "valid_loss" in line]
    assert [line["step"] for line in evaluations] == [0, 6, 8]
    assert all(line.keys() == {"step", "valid_loss", "seconds"} for line in evaluations)


def test_every_other_step_is_logged_when_asked(tmp_path: Path) -> None:
    train(Regression(), tmp_path, toy_config(steps=7, log_every=3))
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [3, 6]


def test_the_learning_rate_warms_up_and_falls(tmp_path: Path) -> None:
    train(Regression(), tmp_path, toy_config(steps=22, warmup_steps=2, schedule="linear", lr=0.3))
    rates = [line["lr"] for line in lines(tmp_path) if "lr" in line]
    assert rates == pytest.approx([0.1, 0.2, *(0.3 * (20 - step) / 20 for step in range(20))])


@pytest.mark.parametrize(
    ("length", "steps"), [({"steps": 30}, 30), ({"epochs": 6.0}, 30), ({"steps": 9}, 9), ({"steps": 1}, 1)]
)
def test_the_warm_up_takes_a_tenth_of_the_run_at_most_and_that_is_said_once(
    length: dict[str, Any], steps: int, tmp_path: Path
) -> None:
    notes, warmup = Notes(stop_after=min(4, steps - 1)), steps // 10
    config = toy_config(**{"steps": None, **length}, warmup_steps=200, schedule="linear", lr=0.3)
    with pytest.raises(Interrupted):
        train(Regression(), tmp_path, config, notes=notes)
    later = Notes()
    train(Regression(), tmp_path, config, notes=later)
    rates = [line["lr"] for line in lines(tmp_path) if "lr" in line]
    falls = [0.3 * (steps - warmup - step) / (steps - warmup) for step in range(steps - warmup)]
    assert rates == pytest.approx([*(0.3 * (step + 1) / (warmup + 1) for step in range(warmup)), *falls])
    assert notes.notes == [f"the learning rate rises for {warmup} steps, not 200: this run has {steps}"]
    assert later.notes == []


def test_a_longer_budget_or_another_warm_up_plans_the_warm_up_anew(tmp_path: Path) -> None:
    train(Regression(), tmp_path, toy_config(steps=10, warmup_steps=4, schedule="constant", lr=0.3))
    train(Regression(), tmp_path, toy_config(steps=150, warmup_steps=14, schedule="constant", lr=0.3))
    rates = [line["lr"] for line in lines(tmp_path) if "lr" in line]
    assert rates[:2] == pytest.approx([0.15, 0.3])  # one step of ten
    assert rates[10:15] == pytest.approx([0.3 * 11 / 15, 0.3 * 12 / 15, 0.3 * 13 / 15, 0.3 * 14 / 15, 0.3])


class Timed(Regression):
    """By its own clock a step takes a tenth of a second, and an evaluation as long as it is told."""

    def __init__(self, evaluation: float, clock: list[float]) -> None:
        super().__init__()
        self.evaluation, self.clock = evaluation, clock

    def prepare(self, step: int) -> int:
        self.clock[0] += 0.1
        return super().prepare(step)

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        self.clock[0] += self.evaluation
        return super().evaluate(stop)


@pytest.mark.parametrize("evaluation", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("save", [0.0, 0.2])
def test_a_time_budget_counts_evaluations_and_saves_and_is_kept(
    evaluation: float, save: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("seqgen.train.loop.time.perf_counter", lambda: clock[0])
    real = CheckpointStore.save

    def slow(*given: Any, **how: Any) -> None:
        clock[0] += save
        real(*given, **how)

    monkeypatch.setattr(CheckpointStore, "save", slow)
    config = toy_config(steps=None, minutes=0.2, eval_every=1000, save_every=25)
    progress = train(Timed(evaluation, clock), tmp_path, config)
    assert progress.seconds == pytest.approx(clock[0], abs=2 * save + 1e-6)  # but for what is saved last
    assert 10.0 < clock[0] <= 12.6
    assert [line["step"] for line in lines(tmp_path) if "valid_loss" in line] == [0, progress.step]


def test_listeners_hear_of_everything(tmp_path: Path) -> None:
    notes = Notes()
    train(Regression(), tmp_path, toy_config(steps=6), notes=notes)
    assert notes.began == [(0, 6)]
    assert [record["step"] for record in notes.records] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in notes.evaluations] == [0, 6]
    assert notes.samples == [f"sample {derive(0, 'sample', step)}" for step in (0, 6)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    train(Regression(), directory, toy_config(steps=14, ema=0.9))
    return directory


@pytest.mark.parametrize("step", [0, 1, 3, 4, 5, 6, 11, 12, 13])
def test_a_run_resumes_bit_for_bit_from_any_step(step: int, whole: Path, tmp_path: Path) -> None:
    config, parts = toy_config(steps=14, ema=0.9), tmp_path / "parts"
    with pytest.raises(Interrupted) as caught:
        train(Regression(), parts, config, notes=Notes(step))
    assert caught.value.exit_code == 130
    assert RESUME in caught.value.hint
    assert (parts / "checkpoints" / f"step-{step:08d}" / "MANIFEST.json").is_file()
    train(Regression(), parts, config)
    for one, other in zip(newest(whole), newest(parts), strict=True):
        assert_equal(one, other)
    assert "task/carried" in newest(parts)[1]
    assert timeless(whole) == timeless(parts)


def test_each_example_is_seen_once_per_epoch_over_ten_interruptions(tmp_path: Path) -> None:
    config = toy_config(steps=25)
    seen: list[tuple[int, int]] = []
    for stop_after in (1, 2, 4, 7, 8, 11, 15, 16, 21, 24, None):
        task = Regression()
        if stop_after is None:
            train(task, tmp_path, config)
        else:
            with pytest.raises(Interrupted):
                train(task, tmp_path, config, notes=Notes(stop_after))
        seen += task.seen
    assert Counter(seen) == {(epoch, example): 1 for epoch in range(5) for example in range(40)}


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    task, notes = Regression(), Notes()
    task.valid = {0: 5.0, 3: 3.0, 6: 4.0, 9: 3.0, 12: 2.0}
    progress = train(task, tmp_path, toy_config(eval_every=3, patience=2), notes=notes)
    assert progress.step == 9
    assert notes.evaluations == [(0, True), (3, True), (6, False), (9, False)]
    assert (progress.best_step, progress.best) == (3, {"valid_loss": 3.0})
    again = Regression()
    assert train(again, tmp_path, toy_config(eval_every=3, patience=2)).step == 9
    assert again.seen == []


def test_the_best_checkpoint_is_kept_among_the_newest_two(tmp_path: Path) -> None:
    task = Regression()
    task.valid = {0: 5.0, 5: 1.0, 10: 4.0, 15: 3.0, 20: 2.0}
    progress = train(task, tmp_path, toy_config(eval_every=5, save_every=4))
    assert progress.best_step == 5
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000005", "step-00000016", "step-00000020"]
    stopped = Regression()
    with pytest.raises(Interrupted):
        train(stopped, tmp_path / "stopped", toy_config(), notes=Notes(5))
    weights = CheckpointStore(tmp_path, {}).weights(5)
    assert_equal(weights, snapshot(stopped.network))


def test_without_a_criterion_the_last_is_the_best(tmp_path: Path) -> None:
    task = Regression()
    task.criterion = None
    task.valid = {0: 1.0, 6: 2.0, 12: 3.0, 18: 4.0, 20: 5.0}
    assert train(task, tmp_path, toy_config(patience=1)).best_step == 20


def test_a_validation_loss_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    task = Regression()
    task.valid = {0: math.nan, 6: 2.0, 12: 1.0, 18: math.nan, 20: 3.0}
    assert train(task, tmp_path, toy_config()).best_step == 12


def test_a_best_whose_checkpoint_is_gone_does_not_count(tmp_path: Path) -> None:
    """A fall-back behind the best lands at a checkpoint whose own best was removed; nothing later is better."""
    config, task = toy_config(steps=6, eval_every=2, save_every=1), Regression()
    task.valid = {0: 5.0, 2: 3.0}
    with pytest.raises(Interrupted):
        train(task, tmp_path, config, notes=Notes(3))
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000002")
    again = Regression()
    again.valid = {4: 9.0, 6: 9.0}
    progress = train(again, tmp_path, config)
    assert progress.best_step is not None
    CheckpointStore(tmp_path, {}).weights(progress.best_step)


def test_averaged_weights_are_judged_saved_and_not_trained_on(tmp_path: Path) -> None:
    """A run with averages takes the very same steps as one without; what is saved as the model is the average."""
    plain, averaged = Regression(), Regression()
    train(plain, tmp_path / "plain", toy_config(steps=12))
    train(averaged, tmp_path / "averaged", toy_config(steps=12, ema=0.5))
    assert_equal(snapshot(plain.network), snapshot(averaged.network))
    weights, training = newest(tmp_path / "averaged")
    trained = {k.removeprefix("weights/"): v for k, v in training.items() if k.startswith("weights/")}
    assert_equal(trained, snapshot(plain.network))
    assert not any(torch.equal(weights[name], trained[name]) for name in trained)
    judge = Regression()
    judge.network.load_state_dict(weights)
    wanted = judge.evaluate(lambda: False)
    assert wanted is not None
    evaluations = [line["valid_loss"] for line in lines(tmp_path / "averaged") if "valid_loss" in line]
    assert evaluations[-1] == pytest.approx(wanted["valid_loss"], rel=1e-6)


def test_an_average_follows_its_formula() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    average = Average(module, 0.5)
    nn.init.constant_(module.weight, 2.0)
    average.update(0)  # decay min(0.5, 1 / 10)
    assert average.weights["weight"].item() == pytest.approx(0.1 * 1.0 + 0.9 * 2.0)
    nn.init.constant_(module.weight, 4.0)
    average.update(100)  # decay min(0.5, 101 / 110)
    assert average.weights["weight"].item() == pytest.approx(0.5 * 1.9 + 0.5 * 4.0)
    average.swap()
    assert module.weight.item() == pytest.approx(2.95)
    average.swap()
    assert module.weight.item() == 4.0


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulated_parts_take_the_same_steps(parts: int, tmp_path: Path) -> None:
    one, several = Regression(), Regression()
    train(one, tmp_path / "one", toy_config())
    train(several, tmp_path / "several", toy_config(grad_accumulation=parts))
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(several.network.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    losses = [[line["loss"] for line in lines(tmp_path / name) if "loss" in line] for name in ("one", "several")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


class Poisoned(Regression):
    """In one step, the loss or only its gradient is not a number."""

    def __init__(self, step: int, how: str) -> None:
        super().__init__()
        self.bad, self.how = step, how
        self.before: dict[str, Tensor] = {}

    def loss(self, player: str, part: int, parts: int) -> Tensor:
        loss = super().loss(player, part, parts)
        if self.step != self.bad:
            return loss
        self.before = snapshot(self.network)
        if self.how == "gradient":
            # sqrt has an infinite slope at 0: the loss is finite, its gradient is 0 * inf
            return loss + (next(self.network.parameters()) * 0.0).sum().sqrt()
        return loss * {"nan": math.nan, "inf": math.inf}[self.how]


@pytest.mark.parametrize("how", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_not_finite_never_reaches_the_weights(how: str, ema: float, tmp_path: Path) -> None:
    task = Poisoned(7, how)
    with pytest.raises(NonFiniteError) as caught:
        train(task, tmp_path, toy_config(ema=ema))
    assert_equal(snapshot(task.network), task.before)
    error = caught.value
    assert error.exit_code == 1
    assert error.message.startswith("step 7: ")
    assert "step 6" in error.message
    assert ("is nan" if how == "nan" else "is inf") in error.message or how == "gradient"
    assert f"{RESUME} --lr 0.0125" in error.hint
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir())[-1] == "step-00000006"
    progress = train(Regression(), tmp_path, toy_config(ema=ema))
    assert progress.step == 20


def test_a_network_that_cannot_be_judged_ends_the_run_with_what_is_saved(tmp_path: Path) -> None:
    class Overflowing(Regression):
        def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
            if self.step >= 10:
                raise NonFiniteError("the network overflows")
            return super().evaluate(stop)

    with pytest.raises(NonFiniteError, match="the network overflows; the last good checkpoint is step") as caught:
        train(Overflowing(), tmp_path, toy_config())
    assert RESUME in caught.value.hint


def test_without_a_checkpoint_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointStore, "save", _full)
    with pytest.raises(NonFiniteError, match="none was saved yet"):
        train(Poisoned(1, "nan"), tmp_path, toy_config())


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_state_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    class Leaking(Regression):
        def state(self) -> dict[str, Tensor]:
            return {"carried": torch.full((BATCH, 1), math.inf if self.step >= 4 else 0.0)}

    with pytest.raises(NonFiniteError, match="step 4: task/carried is not finite"):
        train(Leaking(), tmp_path, toy_config(eval_every=100))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000000"]


def test_gradients_are_clipped_to_their_global_norm(tmp_path: Path) -> None:
    """The norm in the log is the one before clipping, and what is clipped takes another path."""
    clipped, free = Regression(), Regression()
    train(clipped, tmp_path / "clipped", toy_config(steps=1, clip=0.01))
    train(free, tmp_path / "free", toy_config(steps=1, clip=0.0))
    norms = [[x["grad_norm"] for x in lines(tmp_path / n) if "grad_norm" in x] for n in ("clipped", "free")]
    assert norms[0] == norms[1]
    assert norms[0][0] > 0.01
    gradients = [p.grad for p in clipped.network.parameters() if p.grad is not None]
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(0.01, rel=1e-4)


def test_epochs_bound_a_run(tmp_path: Path) -> None:
    config = TrainConfig(epochs=2.4, batch_size=BATCH, precision="fp32", ema=0.0)
    assert train(Regression(), tmp_path, config).step == 12


def test_no_steps_at_all_leave_the_untrained_model(tmp_path: Path) -> None:
    task = Regression()
    before = snapshot(task.network)
    assert train(task, tmp_path, toy_config(steps=0)).best_step == 0
    assert_equal(newest(tmp_path)[0], before)


def test_out_of_memory_is_explained(tmp_path: Path) -> None:
    class Huge(Regression):
        def loss(self, player: str, part: int, parts: int) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(Exception, match="step 1 does not fit into memory") as caught:
        train(Huge(), tmp_path, toy_config())
    assert "--grad-accumulation" in getattr(caught.value, "hint", "")


def test_other_errors_of_a_step_are_not_explained_away(tmp_path: Path) -> None:
    class Wrong(Regression):
        def loss(self, player: str, part: int, parts: int) -> Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(Wrong(), tmp_path, toy_config())


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    from seqgen.errors import TrainingError

    train(Regression(), tmp_path, toy_config(steps=2))
    with pytest.raises(TrainingError, match="step 2 does not fit these settings"):
        train(Gan(), tmp_path, toy_config(steps=4))


# Players that do not always move, and runs that go wrong --------------------------------------------------------


class Paced(Gan):
    """The generator moves every other step, at half the rate of the discriminator."""

    def pace(self, player: str, step: int) -> float:
        return 1.0 if player == "discriminator" else 0.5 * (step % 2)


def test_a_player_without_pace_has_no_turn(tmp_path: Path) -> None:
    task, notes = Paced(), Notes()
    train(task, tmp_path, toy_config(steps=4), notes=notes)
    assert [player for player, *_ in task.turns] == ["discriminator", "discriminator", "generator"] * 2
    assert ["generator_loss" in record for record in notes.records] == [False, True, False, True]
    assert all("discriminator_grad_norm" in record for record in notes.records)


class Collapsing(Regression):
    """Goes wrong at an evaluation as often as it is told to."""

    def __init__(self, times: int, *, roll_back: bool = True) -> None:
        super().__init__()
        self.times, self.roll_back = times, roll_back
        self.seeds: list[tuple[int, int]] = []

    def prepare(self, step: int) -> int:
        self.seeds.append((step, torch.initial_seed()))
        return super().prepare(step)

    def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        if self.step >= 12 and self.times:
            self.times -= 1
            raise CollapsedError("it collapsed", hint="try less", roll_back=self.roll_back)
        return super().evaluate(stop)


def test_a_collapsed_run_goes_back_to_its_best_state_with_half_the_rate_and_other_numbers(tmp_path: Path) -> None:
    task, notes = Collapsing(1), Notes()
    progress = train(task, tmp_path, toy_config(schedule="constant"), notes=notes)
    assert (progress.step, progress.rollbacks) == (20, 1)
    assert notes.notes == ["it collapsed; back to step 6, at half the learning rate"]
    steps = [int(record["step"]) for record in notes.records]
    assert steps == [*range(1, 13), *range(7, 21)]
    assert [record["lr"] for record in notes.records[-2:]] == [0.025, 0.025]
    seeds = [dict(task.seeds[:12]), dict(task.seeds[12:])]
    assert all(seeds[0][step] != seeds[1][step] for step in range(6, 12))


def test_another_try_goes_on_after_an_interruption(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    train(Collapsing(1), whole, toy_config())
    parts = tmp_path / "parts"
    with pytest.raises(Interrupted):
        train(Collapsing(1), parts, toy_config(), notes=Notes(stop_after=15))
    progress = train(Collapsing(0), parts, toy_config())
    assert progress.rollbacks == 1
    for found, wanted in zip(newest(parts), newest(whole), strict=True):
        assert_equal(found, wanted)


def test_a_run_that_collapses_again_and_again_is_given_up(tmp_path: Path) -> None:
    notes = Notes()
    with pytest.raises(CollapsedError, match="it collapsed"):
        train(Collapsing(4), tmp_path, toy_config(), notes=notes)
    assert notes.notes == 3 * ["it collapsed; back to step 6, at half the learning rate"]


def test_a_collapsed_run_stops_where_that_is_wanted(tmp_path: Path) -> None:
    task, notes = Collapsing(1, roll_back=False), Notes()
    with pytest.raises(CollapsedError) as caught:
        train(task, tmp_path, toy_config(), notes=notes)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("it collapsed", "try less", 1)
    assert notes.notes == []
    assert [step for step, _ in task.seeds] == list(range(12))  # none was taken again


def test_a_rollback_that_cannot_be_saved_says_where_a_resumed_run_would_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 8 is newer than step 6, to which the run goes back; it is saved anew when the run comes by again."""
    save, full = CheckpointStore.save, [False]

    class Full(Collapsing):
        def evaluate(self, stop: Callable[[], bool]) -> dict[str, float] | None:
            full[0] = self.step >= 12 and bool(self.times)
            return super().evaluate(stop)

        def prepare(self, step: int) -> int:
            full[0] = full[0] and step < 10
            return super().prepare(step)

    def saved(self: CheckpointStore, step: int, checkpoint: Checkpoint, *, best: int | None) -> None:
        if full[0]:
            _full()
        save(self, step, checkpoint, best=best)

    monkeypatch.setattr(CheckpointStore, "save", saved)
    notes = Notes()
    progress = train(Full(1), tmp_path, toy_config(save_every=4, steps=12, eval_every=6), notes=notes)
    failed = [note for note in notes.notes if "could not be saved" in note]
    assert [note.split(": ")[0] for note in failed] == ["step 6 could not be saved", "step 8 could not be saved"]
    assert all("(step 8 stands" in note for note in failed)
    newest = CheckpointStore(tmp_path, {}).newest(pytest.fail)
    assert newest is not None
    assert (progress.rollbacks, newest.state["step"], newest.state["rollbacks"]) == (1, 12, 1)
