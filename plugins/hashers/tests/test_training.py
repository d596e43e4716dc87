"""The training loop and its checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from retbench_hashers.optimisation import Optimisation, Optimiser
from retbench_hashers.training import Moment, Training
from torch import Tensor, nn

from retbench import Context, Noise

CPU = torch.device("cpu")


def training(epochs: int = 1, batch: int = 8, optimiser: Optimiser = "adamw") -> Training:
    return Training(epochs, batch, Optimisation(optimiser, 1e-3, momentum=0.0 if optimiser == "adamw" else 0.9))


def train(schedule: Training, count: int, scale: float = 1.0) -> tuple[list[list[int]], list[Moment], list[list[int]]]:
    seen: list[list[int]] = []
    moments: list[Moment] = []
    progress: list[list[int]] = []
    network = nn.Linear(1, 1)

    def batch_loss(rows: Tensor, moment: Moment) -> Tensor:
        seen.append(rows.tolist())
        moments.append(moment)
        return scale * network(rows[:, None].float()).square().mean()

    def watch(*done_of_total: int) -> None:
        progress.append(list(done_of_total))

    schedule.run(network, batch_loss, count, Context(CPU, "float32", Noise(0, ("fit",)), progress=watch))
    return seen, moments, progress


@pytest.mark.parametrize(("count", "sizes"), [(9, [5, 4]), (8, [8]), (17, [6, 6, 5]), (1, [1])])
def test_an_epoch_visits_every_row_once_in_batches_of_equal_size(count: int, sizes: list[int]) -> None:
    seen, _, _ = train(training(), count)
    assert [len(rows) for rows in seen] == sizes
    assert sorted(row for rows in seen for row in rows) == list(range(count))


def test_epochs_are_shuffled_anew_and_alike_in_every_run() -> None:
    (first, _, _), (second, _, _) = (train(training(epochs=2, batch=20), 20) for _ in range(2))
    assert first == second
    assert first[0] != first[1]


def test_progress_and_moments_count_the_steps() -> None:
    _, moments, progress = train(training(epochs=2), 9)
    assert progress == [[1, 4], [2, 4], [3, 4], [4, 4]]
    assert moments == [(0, 0), (0, 1), (1, 2), (1, 3)]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    with pytest.raises(ValueError, match="the loss of epoch 1 diverged: got inf, expected a learning rate below"):
        train(training(epochs=2), 8, scale=float("inf"))


class Killed(BaseException):
    """Nothing in a training catches it."""


def resumable(
    schedule: Training, folder: Path | None, kill_at: int | None = None
) -> tuple[dict[str, Tensor], Tensor, list[float], int]:
    """Returns weights, memory, curve and the number of steps of a training with dropout and batch normalisation."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    inputs, memory, steps = torch.rand(20, 3), torch.zeros(20, 1), 0

    def batch_loss(rows: Tensor, moment: Moment) -> Tensor:
        nonlocal steps
        if moment.step == kill_at:
            raise Killed
        steps += 1
        outputs = network(inputs[rows])
        memory[rows] = outputs.detach()
        return (outputs - memory.mean() - moment.step).square().mean()

    context = Context(CPU, "float32", Noise(0, ("fit",)), checkpoints=folder)
    curve = schedule.run(network, batch_loss, 20, context, memory)
    return network.state_dict(), memory, curve, steps


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "rmsprop"])
def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path, optimiser: Optimiser) -> None:
    schedule = training(epochs=6, optimiser=optimiser)
    whole, memory, curve, steps = resumable(schedule, None)
    for kill_at in (8, 14):
        with pytest.raises(Killed):
            resumable(schedule, tmp_path, kill_at)
    resumed, resumed_memory, resumed_curve, resumed_steps = resumable(schedule, tmp_path)
    assert (steps, resumed_steps) == (18, 6)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert torch.equal(memory, resumed_memory)
    assert curve == resumed_curve


def test_a_checkpoint_holds_tensors_and_numbers_alone_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    resumable(training(epochs=2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["course.pt"]
    saved = torch.load(tmp_path / "course.pt", weights_only=True)
    assert len(saved["curves"]["loss"]) == 2
