"""How far a training has come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from retbench_hashers import course as course_file
from retbench_hashers.course import Course
from torch import Tensor, nn

from retbench import Context, Noise


def course(folder: Path | None, layer: nn.Linear, memory: Tensor) -> Course:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=folder)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    return Course(ctx, {"layer": layer, "optimiser": optimiser}, {"memory": memory})


def test_it_takes_up_weights_tensors_curves_and_both_generators_where_they_were_left(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, memory = nn.Linear(2, 1), torch.zeros(3)
    first = course(tmp_path, layer, memory)
    first.order(10)
    memory[1] = 5.0
    torch.rand(7)
    first.close_epoch({"loss": 1.5, "penalty": 0.5}, rate=0.1)
    expected = first.order(10), torch.rand(3)

    torch.manual_seed(9)
    other, empty = nn.Linear(2, 1), torch.zeros(3)
    second = course(tmp_path, other, empty)
    assert second.epochs == 1
    assert second.curves == {"loss": [1.5], "penalty": [0.5]}
    assert torch.equal(other.weight, layer.weight)
    assert empty.tolist() == [0.0, 5.0, 0.0]
    assert torch.equal(second.order(10), expected[0])
    assert torch.equal(torch.rand(3), expected[1])


def test_a_loss_that_is_not_finite_is_named_and_not_kept(tmp_path: Path) -> None:
    one = course(tmp_path, nn.Linear(2, 1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"the penalty of epoch 1 diverged: got nan, expected a learning rate below"):
        one.close_epoch({"loss": 1.0, "penalty": float("nan")}, rate=0.1)
    assert (one.epochs, one.curves, list(tmp_path.iterdir())) == (0, {}, [])


def test_a_new_one_has_no_epoch_behind_it() -> None:
    assert course(None, nn.Linear(2, 1), torch.zeros(3)).epochs == 0


def test_short_epochs_leave_a_checkpoint_only_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 30.0, 59.0, 61.0, 61.0, 100.0])
    monkeypatch.setattr(course_file, "CHECKPOINT_EVERY", 60.0)
    monkeypatch.setattr(course_file.time, "monotonic", lambda: next(clock))
    one, kept = course(tmp_path, nn.Linear(2, 1), torch.zeros(3)), []
    for _ in range(4):
        one.close_epoch({"loss": 1.0}, rate=0.1)
        kept.append(len(torch.load(tmp_path / "course.pt")["curves"]["loss"]) if any(tmp_path.iterdir()) else 0)
    assert kept == [0, 0, 3, 3]
