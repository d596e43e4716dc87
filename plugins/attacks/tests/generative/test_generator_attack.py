"""What every attack by a trained generator shares: the discriminator's loss and the schedule."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.generative.generator_attack import FAKE, REAL, learning_rate, verdict_loss

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0]]).float()
SCORES = torch.sin(0.3 * torch.arange(3)[:, None] + 0.5 * torch.arange(4) + 0.7)


@pytest.mark.parametrize(("flag", "loss"), [(REAL, 0.432977), (FAKE, 0.392650)])
def test_the_discriminators_loss_is_the_published_one(flag: float, loss: float) -> None:
    assert verdict_loss(SCORES, LABELS, flag).item() == pytest.approx(loss, abs=1e-6)


def test_the_flag_of_a_generated_image_is_one() -> None:
    told = torch.tensor([[1.0, 0.0, 1.0]])
    assert verdict_loss(told, told[:, :2], FAKE).item() == 0
    assert verdict_loss(told, told[:, :2], REAL).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1.0), (49, 1.0), (50, 1 - 1 / 101), (149, 0.0099)])
def test_the_rate_falls_after_the_steady_epochs(epoch: int, rate: float) -> None:
    assert learning_rate(epoch, steady=50, falling=100) == pytest.approx(rate, abs=1e-5)


def test_the_rate_without_falling_epochs_stays() -> None:
    assert [learning_rate(epoch, steady=3, falling=0) for epoch in range(3)] == [1, 1, 1]
