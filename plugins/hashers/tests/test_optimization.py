"""Learning rates, step by step."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from retbench_hashers.optimization import Optimization, step_decay
from torch import nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop


def rates(optimization: Optimization, epochs: int, batches: int) -> tuple[Optimizer, list[float]]:
    """Return the optimizer, and the learning rate of each step."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer, schedule = optimization.start([weight], epochs, batches)
    seen = []
    for _ in range(epochs * batches):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return optimizer, seen


def test_a_hundred_epochs_of_sgd_are_34_and_33_and_33() -> None:
    optimizer, seen = rates(Optimization("sgd", 0.05, 1e-5, 0.9), epochs=100, batches=2)
    assert [round(rate, 6) for rate in seen] == [0.05] * 68 + [0.005] * 66 + [0.0005] * 66
    assert isinstance(optimizer, SGD)
    assert (optimizer.defaults["weight_decay"], optimizer.defaults["momentum"]) == (1e-5, 0.9)


@pytest.mark.parametrize(
    ("epochs", "lengths"), [(1, [1]), (2, [2]), (3, [2, 1]), (6, [3, 2, 1]), (9, [4, 3, 2]), (150, [51, 50, 49])]
)
def test_the_first_share_of_the_rate_lasts_an_epoch_longer(epochs: int, lengths: list[int]) -> None:
    shares = Counter(step_decay(epoch, epochs) for epoch in range(epochs))
    assert [shares[share] for share in sorted(shares, reverse=True)] == lengths


def test_rmsprop_keeps_its_rate() -> None:
    optimizer, seen = rates(Optimization("rmsprop", 1e-5, 1e-4), epochs=3, batches=2)
    assert seen == [1e-5] * 6
    assert isinstance(optimizer, RMSprop)
    assert optimizer.defaults["weight_decay"] == 1e-4


def test_adamw_rises_to_its_peak_and_falls_to_nothing() -> None:
    optimizer, seen = rates(Optimization("adamw", 1e-3), epochs=10, batches=10)
    assert max(seen) == pytest.approx(1e-3)
    assert seen.index(max(seen)) == 29
    assert seen[-1] < 1e-7
    assert isinstance(optimizer, AdamW)
    assert optimizer.defaults["weight_decay"] == 0.01


def test_sgd_decays_weights_and_carries_its_momentum() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer, _ = Optimization("sgd", 0.1, weight_decay=0.5, momentum=0.5).start([weight], 1, 2)
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    first = 1 - 0.1 * (1 + 0.5 * 1)
    velocity = 0.5 * 1.5 + (1 + 0.5 * first)
    assert weight.item() == pytest.approx(first - 0.1 * velocity)
