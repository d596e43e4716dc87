"""Batches, progress, curves and checkpoints of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from retbench_hashers.optimizer_settings import OptimizerName, OptimizerSettings
from retbench_hashers.training import Training, TrainingStep
from torch import Tensor, nn

from retbench import Context, Noise

CPU = torch.device("cpu")


def training(epochs: int = 1, batch: int = 8, optimizer: OptimizerName = "adamw") -> Training:
    return Training(epochs, batch, OptimizerSettings(optimizer, 1e-3, momentum=0.0 if optimizer == "adamw" else 0.9))


class TrainingLog(NamedTuple):
    """Rows, positions, progress and curves of a training."""

    rows: list[list[int]]
    steps: list[TrainingStep]
    progress: list[tuple[int, int]]
    curves: dict[str, Any]


def train(settings: Training, count: int, scale: float = 1.0) -> TrainingLog:
    log = TrainingLog([], [], [], {})
    network = nn.Linear(1, 1)

    def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
        log.rows.append(rows.tolist())
        log.steps.append(step)
        return scale * network(rows[:, None].float()).square().mean()

    def log_progress(done: int, total: int) -> None:
        log.progress.append((done, total))

    noise = Noise(0, ("fit",))
    settings.run(
        network, batch_loss, count, Context(CPU, "float32", noise, progress=log_progress, record=log.curves.__setitem__)
    )
    return log


@pytest.mark.parametrize(("count", "sizes"), [(9, [5, 4]), (8, [8]), (17, [6, 6, 5]), (1, [1])])
def test_an_epoch_visits_every_row_once_in_batches_of_nearly_equal_size(count: int, sizes: list[int]) -> None:
    batches = train(training(), count).rows
    assert [len(rows) for rows in batches] == sizes
    assert sorted(row for rows in batches for row in rows) == list(range(count))


def test_each_epoch_has_a_new_order_that_is_the_same_in_every_run() -> None:
    first, second = (train(training(epochs=2, batch=20), 20).rows for _ in range(2))
    assert first == second
    assert first[0] != first[1]


def test_progress_and_positions_count_training_steps() -> None:
    log = train(training(epochs=2), 9)
    assert log.progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert log.steps == [(0, 0), (0, 1), (1, 2), (1, 3)]


def test_the_recorded_loss_is_the_mean_over_the_rows_of_an_epoch() -> None:
    torch.manual_seed(0)
    curve = train(Training(2, 8, OptimizerSettings("sgd", 1e-12)), 9).curves["loss"]
    torch.manual_seed(0)
    network, rows = nn.Linear(1, 1), torch.arange(9.0)[:, None]
    assert curve == pytest.approx([network(rows).square().mean().item()] * 2, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    with pytest.raises(ValueError, match="training: loss of step 1 is not finite: got inf; lower the learning rate"):
        train(training(epochs=2), 8, scale=float("inf"))


class Killed(BaseException):
    """Interruption of a training; no code catches it."""


def train_resumable(
    settings: Training, folder: Path | None, kill_at: int | None = None
) -> tuple[dict[str, Tensor], Tensor, list[float], int]:
    """Return weights, memory, curve and the number of steps of a training with dropout and batch normalization."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    inputs, memory, steps = torch.rand(20, 3), torch.zeros(20, 1), 0
    curves: dict[str, Any] = {}

    def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
        nonlocal steps
        if step.step == kill_at:
            raise Killed
        steps += 1
        outputs = network(inputs[rows])
        memory[rows] = outputs.detach()
        return (outputs - memory.mean() - step.step).square().mean()

    services: dict[str, Any] = {"record": curves.__setitem__, "checkpoints": folder, "checkpoint_every": 0.0}
    settings.run(network, batch_loss, 20, Context(CPU, "float32", Noise(0, ("fit",)), **services), memory)
    return network.state_dict(), memory, curves["loss"], steps


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, optimizer: OptimizerName) -> None:
    settings = training(epochs=6, optimizer=optimizer)
    uninterrupted, memory, curve, steps = train_resumable(settings, None)
    for kill_at in (8, 14):
        with pytest.raises(Killed):
            train_resumable(settings, tmp_path, kill_at)
    resumed, resumed_memory, resumed_curve, resumed_steps = train_resumable(settings, tmp_path)
    assert (steps, resumed_steps) == (18, 6)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in uninterrupted.items())
    assert torch.equal(memory, resumed_memory)
    assert curve == resumed_curve


@pytest.mark.parametrize(
    ("has_memory", "rise_from", "is_judged"), [(False, 0, True), (True, 0, False), (True, 50, True)]
)
def test_a_rising_loss_is_a_caveat_except_while_the_memory_is_filled(
    has_memory: bool, rise_from: int, is_judged: bool
) -> None:
    """The loss is constant but for a rise at one step: the 51st of 100, or the first of the second epoch."""
    network, caveats = nn.Linear(1, 1), list[str]()
    rise = 50 if rise_from == 0 else 75

    def batch_loss(rows: Tensor, step: TrainingStep) -> Tensor:
        return 0 * network(rows[:, None].float()).sum() + 1.0 + (step.step >= rise)

    ctx = Context(CPU, "float32", Noise(0, ("fit",)), distrust=caveats.append)
    training(epochs=2, batch=2).run(network, batch_loss, 100, ctx, torch.zeros(100, 1) if has_memory else None)
    assert bool(caveats) is is_judged
