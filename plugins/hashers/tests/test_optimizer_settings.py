"""Learning rates of each optimizer, step by step."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from retbench_hashers.optimizer_settings import OptimizerSettings, step_decay
from torch import nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop


def run_schedule(settings: OptimizerSettings, epochs: int, batches: int) -> tuple[Optimizer, list[float]]:
    """Return the optimizer and the learning rate of each step."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer, schedule = settings.build([weight], epochs, batches)
    rates = []
    for _ in range(epochs * batches):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return optimizer, rates


def test_sgd_divides_the_rate_after_34_and_67_of_100_epochs() -> None:
    optimizer, rates = run_schedule(OptimizerSettings("sgd", 0.05, 1e-5, 0.9), epochs=100, batches=2)
    assert [round(rate, 6) for rate in rates] == [0.05] * 68 + [0.005] * 66 + [0.0005] * 66
    assert isinstance(optimizer, SGD)
    assert (optimizer.defaults["weight_decay"], optimizer.defaults["momentum"]) == (1e-5, 0.9)


@pytest.mark.parametrize(
    ("epochs", "lengths"), [(1, [1]), (2, [2]), (3, [2, 1]), (6, [3, 2, 1]), (9, [4, 3, 2]), (150, [51, 50, 49])]
)
def test_the_first_third_of_step_decay_is_one_epoch_longer(epochs: int, lengths: list[int]) -> None:
    counts = Counter(step_decay(epoch, epochs) for epoch in range(epochs))
    assert [counts[factor] for factor in sorted(counts, reverse=True)] == lengths


def test_the_rate_of_rmsprop_is_constant() -> None:
    optimizer, rates = run_schedule(OptimizerSettings("rmsprop", 1e-5, 1e-4), epochs=3, batches=2)
    assert rates == [1e-5] * 6
    assert isinstance(optimizer, RMSprop)
    assert optimizer.defaults["weight_decay"] == 1e-4


def test_the_rate_of_adamw_rises_to_its_peak_and_falls_to_zero() -> None:
    optimizer, rates = run_schedule(OptimizerSettings("adamw", 1e-3), epochs=10, batches=10)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 29
    assert rates[-1] < 1e-7
    assert isinstance(optimizer, AdamW)
    assert optimizer.defaults["weight_decay"] == 0.01


def test_sgd_applies_weight_decay_and_momentum() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer, _ = OptimizerSettings("sgd", 0.1, weight_decay=0.5, momentum=0.5).build([weight], 1, 2)
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    first = 1 - 0.1 * (1 + 0.5 * 1)
    velocity = 0.5 * 1.5 + (1 + 0.5 * first)
    assert weight.item() == pytest.approx(first - 0.1 * velocity)
