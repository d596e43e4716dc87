"""Resuming, checkpoints, failures and curves of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from retbench.contracts import Context, Course, Noise
from retbench.contracts.fitting import course as course_file

CONTEXT = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoint_every=0.0)
ROWS, BATCH, EPOCHS = 20, 6, 5
BATCHES = 4


class Killed(BaseException):
    """Stands for a killed process; no code catches it."""


class Result(NamedTuple):
    """Weights, modified tensor, curves and progress of a training."""

    weights: dict[str, Tensor]
    memory: Tensor
    curves: dict[str, Any]
    progress: list[tuple[int, int]]

    def equals(self, other: Result) -> bool:
        equal = (torch.equal(weight, other.weights[name]) for name, weight in self.weights.items())
        return all(equal) and torch.equal(self.memory, other.memory) and self.curves == other.curves


class Training:
    """A small training with dropout, batch normalization, a schedule, and a memory of the latest outputs.

    Args:
        folder: the checkpoint folder; None for no checkpoints.
        kill_at: the step at which the training is killed; None for the whole training.
        every: seconds between two checkpoints.
    """

    def __init__(self, folder: Path | None = None, kill_at: int | None = None, every: float = 0.0) -> None:
        torch.manual_seed(7)
        self.kill_at = kill_at
        self.network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.inputs, self.memory = torch.rand(ROWS, 3), torch.zeros(ROWS, 1)
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.schedule = OneCycleLR(self.optimizer, max_lr=0.1, total_steps=EPOCHS * BATCHES)
        self.curves: dict[str, Any] = {}
        self.progress: list[tuple[int, int]] = []
        ctx = replace(CONTEXT, checkpoints=folder, checkpoint_every=every, record=self.curves.__setitem__)
        self.course = Course(
            replace(ctx, progress=lambda done, total: self.progress.append((done, total))),
            {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule},
            {"memory": self.memory},
        )

    def step(self, rows: Tensor) -> Tensor:
        if self.course.step == self.kill_at:
            raise Killed
        outputs = self.network(self.inputs[rows])
        self.memory[rows] = outputs.detach()
        loss = (outputs - self.memory.mean() - torch.rand(()) - self.course.step).square().mean()
        value = self.course.descend(self.optimizer, loss)
        self.schedule.step()
        self.course.advance(EPOCHS * BATCHES)
        return value

    def run_epochs(self) -> Result:
        for epoch in range(self.course.epoch, EPOCHS):
            losses = [self.step(rows) for rows in self.course.shuffle(ROWS).tensor_split(BATCHES)]
            self.course.log("epoch", float(epoch))
            self.course.close_epoch({"loss": float(torch.stack(losses).mean())})
        return self.result()

    def run_steps(self) -> Result:
        for _ in range(self.course.step, EPOCHS * BATCHES):
            self.course.log("loss", float(self.step(self.course.shuffle(ROWS)[:BATCH])))
            self.course.save_if_due()
        return self.result()

    def result(self) -> Result:
        self.course.record()
        return Result(self.network.state_dict(), self.memory, self.curves, self.progress)


def test_a_training_in_epochs_killed_twice_resumes_bit_for_bit(tmp_path: Path) -> None:
    complete = Training().run_epochs()
    for kill_at in (2 * BATCHES + 1, 4 * BATCHES + 3):
        with pytest.raises(Killed):
            Training(tmp_path, kill_at).run_epochs()
        torch.rand(5)
    resumed = Training(tmp_path).run_epochs()
    assert resumed.equals(complete)
    assert resumed.progress == complete.progress[4 * BATCHES :]
    assert complete.progress == [(step + 1, EPOCHS * BATCHES) for step in range(EPOCHS * BATCHES)]


def test_a_killed_training_in_steps_resumes_bit_for_bit_after_its_last_step(tmp_path: Path) -> None:
    complete = Training().run_steps()
    with pytest.raises(Killed):
        Training(tmp_path, kill_at=13).run_steps()
    resumed = Training(tmp_path).run_steps()
    assert resumed.equals(complete)
    assert resumed.progress == complete.progress[13:]


def test_a_finished_training_resumes_without_another_step(tmp_path: Path) -> None:
    complete = Training(tmp_path).run_epochs()
    again = Training(tmp_path).run_epochs()
    assert again.equals(complete)
    assert again.progress == []


def test_resuming_restores_position_tensors_curves_and_generators(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.course.shuffle(10)
    first.memory[1] = 5.0
    torch.rand(7)
    first.course.advance(8)
    first.course.close_epoch({"loss": 1.5, "penalty": 0.5})
    expected = first.course.shuffle(10), torch.rand(3)

    second = Training(tmp_path)
    assert (second.course.step, second.course.epoch) == (1, 1)
    assert second.course.curves == {"loss": [1.5], "penalty": [0.5]}
    assert second.memory[1] == 5.0
    assert torch.equal(second.course.shuffle(10), expected[0])
    assert torch.equal(torch.rand(3), expected[1])


def test_a_new_training_starts_at_step_0() -> None:
    course = Training().course
    assert (course.step, course.epoch, course.curves) == (0, 0, {})


def test_a_checkpoint_loads_with_weights_only_and_leaves_no_partial_file(tmp_path: Path) -> None:
    Training(tmp_path).run_epochs()
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    saved = torch.load(tmp_path / "training.pt", weights_only=True)
    assert saved["moving"].keys() == {"network", "optimizer", "schedule"}
    assert len(saved["curves"]["loss"]) == EPOCHS


@pytest.mark.parametrize(
    ("times", "saved_epochs"),
    [([30.0, 59.0, 61.0, 61.0, 100.0, 120.9], [0, 0, 3, 3, 3]), ([60.0, 60.0, 119.0, 120.0, 120.0], [1, 1, 3])],
    ids=["short epochs", "epochs as long as the interval"],
)
def test_a_checkpoint_is_saved_when_the_last_one_is_old_enough(
    times: list[float], saved_epochs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, *times])
    monkeypatch.setattr(course_file.time, "monotonic", lambda: next(clock))
    course = Training(tmp_path, every=60.0).course
    saved = []
    for _ in saved_epochs:
        course.close_epoch({"loss": 1.0})
        saved.append(torch.load(tmp_path / "training.pt")["epoch"] if any(tmp_path.iterdir()) else 0)
    assert saved == saved_epochs


def test_no_checkpoint_is_saved_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[object] = []
    monkeypatch.setattr(Context, "save_checkpoint", lambda *arguments: saved.append(arguments))
    Training().course.close_epoch({"loss": 1.0})
    assert saved == []


def test_shuffles_are_permutations_that_differ_and_are_reproducible() -> None:
    first, second = (Training().course for _ in range(2))
    orders = [first.shuffle(50) for _ in range(2)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(*orders)
    assert torch.equal(orders[0], second.shuffle(50))
    assert first.shuffle(0).shape == (0,)


def descent_course(weight: float = 1.0) -> tuple[Course, nn.Parameter, torch.optim.SGD]:
    parameter = nn.Parameter(torch.tensor([weight]))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    return Course(CONTEXT, {"optimizer": optimizer}), parameter, optimizer


def test_a_step_clears_old_gradients_and_returns_the_detached_loss() -> None:
    course, parameter, optimizer = descent_course()
    parameter.grad = torch.tensor([100.0])
    value = course.descend(optimizer, 3 * parameter.sum())
    assert value == 3
    assert not value.requires_grad
    assert parameter.item() == 1 - 3


@pytest.mark.parametrize(("clip", "step"), [(None, 50.0), (5.0, 5.0), (100.0, 50.0)])
def test_clipping_limits_the_norm_of_all_gradients_together(clip: float | None, step: float) -> None:
    first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second]}], lr=1.0)
    Course(CONTEXT, {}).descend(optimizer, 30 * first.sum() + 40 * second.sum(), clip=clip)
    torch.testing.assert_close(torch.cat([first, second]).detach(), -step * torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_stops_the_training_with_its_step_and_changes_no_weight(value: str) -> None:
    course, parameter, optimizer = descent_course()
    course.descend(optimizer, parameter.sum(), "critic loss")
    course.advance(9)
    before = parameter.item()
    message = f"training: critic loss of step 2 is not finite: got {value}; lower the learning rate"
    with pytest.raises(ValueError, match=message):
        course.descend(optimizer, float(value) * (1 + parameter.sum()), "critic loss")
    assert parameter.item() == before


def test_an_epoch_loss_that_is_not_finite_stops_the_training_without_a_checkpoint(tmp_path: Path) -> None:
    course = Training(tmp_path).course
    with pytest.raises(ValueError, match="training: penalty of epoch 1 is not finite: got nan; lower the learning"):
        course.close_epoch({"loss": 1.0, "penalty": float("nan")})
    assert (course.epoch, course.curves, list(tmp_path.iterdir())) == (0, {}, [])


def test_the_curves_are_recorded_under_their_names() -> None:
    training = Training()
    for loss in (2.0, 1.0):
        training.course.log("rate", loss / 10)
        training.course.close_epoch({"loss": loss, "validation": 1 - loss})
    assert training.curves == {}
    assert training.result().curves == {"rate": [0.2, 0.1], "loss": [2.0, 1.0], "validation": [-1.0, 0.0]}
