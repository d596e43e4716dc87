"""The loop that the iterative attacks share, on objectives whose minimum is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from retbench_attacks.iterative.annealing import Annealing
from retbench_attacks.iterative.ball_descent import BallDescent, Objective
from retbench_attacks.iterative.updates import Momentum, Update, gradient_update
from torch import Tensor, nn

from retbench import Batch, Knowledge, Noise, relax


class Darken(BallDescent):
    """Makes images dark."""

    name: ClassVar[str] = "darken"
    alpha: Annealing = "relative"

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        return lambda codes, images: images.mean(dim=(1, 2, 3)) + 0 * codes.sum(dim=1)

    def new_update(self) -> Update:
        return gradient_update("sign", 0.02)


class Listen(Darken):
    """Stays where it is and keeps the codes that it is shown."""

    heard: ClassVar[list[Tensor]] = []

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        def keep(codes: Tensor, images: Tensor) -> Tensor:
            self.heard.append(codes.detach())
            return 0 * images.sum(dim=(1, 2, 3))

        return keep


class Coast(Darken):
    """Makes images dark with a momentum, which must not outlive a batch."""

    def new_update(self) -> Update:
        return Momentum(0.1, 0.9)


@pytest.mark.parametrize("start", [False, True])
def test_it_ends_on_the_border_of_the_ball_or_of_the_range(
    start: bool, knowledge: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(3)
    images = Darken(eps=0.1, steps=20, random_start=start).perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids))
    assert torch.equal(images, (batch.images - 0.1).clamp(min=0))


def test_alpha_follows_its_schedule(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    batch = queries(2)
    Listen.heard.clear()
    Listen(steps=10).perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids))
    logits = knowledge.network.image(batch.images)
    slopes = [0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
    expected = torch.stack([relax(logits, slope) for slope in slopes])
    assert torch.allclose(torch.stack(Listen.heard), expected)


def test_a_momentum_does_not_outlive_its_batch(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    attack, batch = Coast(steps=3), queries(2)
    first, second = (attack.perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids)) for _ in range(2))
    assert torch.equal(first, second)
