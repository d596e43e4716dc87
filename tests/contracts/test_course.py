"""Resumption, checkpoints, failures and curves of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from retbench.contracts import Context, Course, Noise
from retbench.contracts import course as course_file

CONTEXT = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoint_every=0.0)
ROWS, BATCH, EPOCHS = 20, 6, 5
BATCHES = 4


class Killed(BaseException):
    """No code catches it."""


class Result(NamedTuple):
    """Weights, tensor written in place, curves and progress of a training."""

    weights: dict[str, Tensor]
    memory: Tensor
    curves: dict[str, Any]
    progress: list[tuple[int, int]]

    def same_as(self, other: Result) -> bool:
        equal = (torch.equal(weight, other.weights[name]) for name, weight in self.weights.items())
        return all(equal) and torch.equal(self.memory, other.memory) and self.curves == other.curves


class Rig:
    """A small training with dropout, batch normalization, a schedule, and a memory of the latest outputs.

    Args:
        folder: where checkpoints are left; None for none.
        kill_at: the step that is not finished; None for the whole training.
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

    def in_epochs(self) -> Result:
        for epoch in range(self.course.epoch, EPOCHS):
            losses = [self.step(rows) for rows in self.course.order(ROWS).tensor_split(BATCHES)]
            self.course.note("epoch", float(epoch))
            self.course.close_epoch({"loss": float(torch.stack(losses).mean())})
        return self.result()

    def in_steps(self) -> Result:
        for _ in range(self.course.step, EPOCHS * BATCHES):
            self.course.note("loss", float(self.step(self.course.order(ROWS)[:BATCH])))
            self.course.save_if_due()
        return self.result()

    def result(self) -> Result:
        self.course.record()
        return Result(self.network.state_dict(), self.memory, self.curves, self.progress)


def test_a_training_in_epochs_that_was_killed_twice_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = Rig().in_epochs()
    for kill_at in (2 * BATCHES + 1, 4 * BATCHES + 3):
        with pytest.raises(Killed):
            Rig(tmp_path, kill_at).in_epochs()
        torch.rand(5)
    resumed = Rig(tmp_path).in_epochs()
    assert resumed.same_as(whole)
    assert resumed.progress == whole.progress[4 * BATCHES :]
    assert whole.progress == [(step + 1, EPOCHS * BATCHES) for step in range(EPOCHS * BATCHES)]


def test_a_training_in_steps_that_was_killed_goes_on_after_its_last_step_to_the_same_bits(tmp_path: Path) -> None:
    whole = Rig().in_steps()
    with pytest.raises(Killed):
        Rig(tmp_path, kill_at=13).in_steps()
    resumed = Rig(tmp_path).in_steps()
    assert resumed.same_as(whole)
    assert resumed.progress == whole.progress[13:]


def test_a_finished_training_is_resumed_with_nothing_left_to_do(tmp_path: Path) -> None:
    whole = Rig(tmp_path).in_epochs()
    again = Rig(tmp_path).in_epochs()
    assert again.same_as(whole)
    assert again.progress == []


def test_resuming_restores_the_place_the_tensors_the_curves_and_both_generators(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    first.course.order(10)
    first.memory[1] = 5.0
    torch.rand(7)
    first.course.advance(8)
    first.course.close_epoch({"loss": 1.5, "penalty": 0.5})
    expected = first.course.order(10), torch.rand(3)

    second = Rig(tmp_path)
    assert (second.course.step, second.course.epoch) == (1, 1)
    assert second.course.curves == {"loss": [1.5], "penalty": [0.5]}
    assert second.memory[1] == 5.0
    assert torch.equal(second.course.order(10), expected[0])
    assert torch.equal(torch.rand(3), expected[1])


def test_a_new_training_has_taken_no_step() -> None:
    course = Rig().course
    assert (course.step, course.epoch, course.curves) == (0, 0, {})


def test_a_checkpoint_holds_tensors_and_numbers_alone_and_no_partial_file_is_left(tmp_path: Path) -> None:
    Rig(tmp_path).in_epochs()
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    saved = torch.load(tmp_path / "training.pt", weights_only=True)
    assert saved["moving"].keys() == {"network", "optimizer", "schedule"}
    assert len(saved["curves"]["loss"]) == EPOCHS


@pytest.mark.parametrize(
    ("times", "epochs_kept"),
    [([30.0, 59.0, 61.0, 61.0, 100.0, 120.9], [0, 0, 3, 3, 3]), ([60.0, 60.0, 119.0, 120.0, 120.0], [1, 1, 3])],
    ids=["short epochs", "epochs as long as the interval"],
)
def test_checkpoints_are_left_when_the_last_one_is_old_enough(
    times: list[float], epochs_kept: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, *times])
    monkeypatch.setattr(course_file.time, "monotonic", lambda: next(clock))
    course = Rig(tmp_path, every=60.0).course
    kept = []
    for _ in epochs_kept:
        course.close_epoch({"loss": 1.0})
        kept.append(torch.load(tmp_path / "training.pt")["epoch"] if any(tmp_path.iterdir()) else 0)
    assert kept == epochs_kept


def test_no_checkpoint_is_left_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[object] = []
    monkeypatch.setattr(Context, "save_checkpoint", lambda *given: saved.append(given))
    Rig().course.close_epoch({"loss": 1.0})
    assert saved == []


def test_orders_are_permutations_that_differ_and_repeat_in_another_run() -> None:
    first, second = (Rig().course for _ in range(2))
    orders = [first.order(50) for _ in range(2)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(*orders)
    assert torch.equal(orders[0], second.order(50))
    assert first.order(0).shape == (0,)


def descending(weight: float = 1.0) -> tuple[Course, nn.Parameter, torch.optim.SGD]:
    parameter = nn.Parameter(torch.tensor([weight]))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    return Course(CONTEXT, {"optimizer": optimizer}), parameter, optimizer


def test_a_step_clears_old_gradients_and_returns_the_loss_without_its_graph() -> None:
    course, parameter, optimizer = descending()
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
def test_the_first_loss_that_is_not_finite_is_named_with_its_step_and_not_descended(value: str) -> None:
    course, parameter, optimizer = descending()
    course.descend(optimizer, parameter.sum(), "critic loss")
    course.advance(9)
    reached = parameter.item()
    message = f"training: critic loss of step 2 is not finite: got {value}; lower the learning rate"
    with pytest.raises(ValueError, match=message):
        course.descend(optimizer, float(value) * (1 + parameter.sum()), "critic loss")
    assert parameter.item() == reached


def test_an_epoch_whose_loss_is_not_finite_is_named_and_not_kept(tmp_path: Path) -> None:
    course = Rig(tmp_path).course
    with pytest.raises(ValueError, match="training: penalty of epoch 1 is not finite: got nan; lower the learning"):
        course.close_epoch({"loss": 1.0, "penalty": float("nan")})
    assert (course.epoch, course.curves, list(tmp_path.iterdir())) == (0, {}, [])


def test_the_curves_are_recorded_under_their_names() -> None:
    rig = Rig()
    for loss in (2.0, 1.0):
        rig.course.note("rate", loss / 10)
        rig.course.close_epoch({"loss": loss, "validation": 1 - loss})
    assert rig.curves == {}
    assert rig.result().curves == {"rate": [0.2, 0.1], "loss": [2.0, 1.0], "validation": [-1.0, 0.0]}
