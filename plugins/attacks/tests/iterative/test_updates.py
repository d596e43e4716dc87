"""Update rules, compared with torch's optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from retbench_attacks.iterative.updates import Adam, Momentum, Update, gradient_update
from torch import Tensor


def draw_gradients() -> list[Tensor]:
    return list(torch.randn(20, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("update", "optimizer"),
    [
        (Momentum(0.3, 0.9), lambda pixels: torch.optim.SGD(pixels, lr=0.3, momentum=0.9)),
        (Momentum(0.3, 0.0), lambda pixels: torch.optim.SGD(pixels, lr=0.3)),
        (Adam(0.01), lambda pixels: torch.optim.Adam(pixels, lr=0.01)),
        (gradient_update("raw", 0.3), lambda pixels: torch.optim.SGD(pixels, lr=0.3)),
    ],
    ids=["momentum", "no momentum", "adam", "raw"],
)
def test_update_matches_the_optimizer_of_torch(update: Update, optimizer: Callable[[list[Tensor]], Any]) -> None:
    ours, theirs = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    reference = optimizer([theirs])
    for gradient in draw_gradients():
        theirs.grad = gradient.clone()
        reference.step()
        ours -= update(gradient.clone())
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_l2_step_has_the_given_length_for_each_image() -> None:
    step = gradient_update("l2", 2.0)(draw_gradients()[0])
    assert step.flatten(1).norm(dim=1).tolist() == pytest.approx([2.0, 2.0], rel=1e-5)
