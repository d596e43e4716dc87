"""The training loop."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.one_cycle import OneCycle
from torch import Tensor, nn

from retbench import Context, Noise


def train(schedule: OneCycle, count: int, scale: float = 1.0) -> tuple[list[list[int]], list[tuple[int, int]]]:
    seen: list[list[int]] = []
    progress: list[tuple[int, int]] = []
    network = nn.Linear(1, 1)

    def batch_loss(rows: Tensor) -> Tensor:
        seen.append(rows.tolist())
        return scale * network(rows[:, None].float()).square().mean()

    def watch(done: int, total: int) -> None:
        progress.append((done, total))

    context = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), progress=watch)
    schedule.train(network, batch_loss, count, context)
    return seen, progress


@pytest.mark.parametrize(("count", "sizes"), [(9, [5, 4]), (8, [8]), (17, [6, 6, 5]), (1, [1])])
def test_an_epoch_visits_every_row_once_in_batches_of_equal_size(count: int, sizes: list[int]) -> None:
    seen, _ = train(OneCycle(epochs=1, peak=1e-3, batch=8), count)
    assert [len(rows) for rows in seen] == sizes
    assert sorted(row for rows in seen for row in rows) == list(range(count))


def test_epochs_are_shuffled_anew_and_alike_in_every_run() -> None:
    schedule = OneCycle(epochs=2, peak=1e-3, batch=20)
    first, second = train(schedule, 20), train(schedule, 20)
    assert first == second
    assert first[0][0] != first[0][1]


def test_progress_counts_the_steps() -> None:
    _, progress = train(OneCycle(epochs=2, peak=1e-3, batch=8), 9)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    with pytest.raises(ValueError, match="the loss of epoch 1 diverged: got inf"):
        train(OneCycle(epochs=2, peak=1e-3, batch=8), 8, scale=float("inf"))
