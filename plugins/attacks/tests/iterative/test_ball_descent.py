"""The loop of the iterative attacks, on objectives with a known minimum."""

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


class DarkeningAttack(BallDescent):
    """Minimizes the brightness of images."""

    name: ClassVar[str] = "darken"
    alpha: Annealing = "relative"

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        return lambda codes, images: images.mean(dim=(1, 2, 3)) + 0 * codes.sum(dim=1)

    def new_update(self) -> Update:
        return gradient_update("sign", 0.02)


class RecordingAttack(DarkeningAttack):
    """Leaves images unchanged and records the relaxed codes passed to its objective."""

    recorded: ClassVar[list[Tensor]] = []

    def objective(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Objective:
        def objective(codes: Tensor, images: Tensor) -> Tensor:
            self.recorded.append(codes.detach())
            return 0 * images.sum(dim=(1, 2, 3))

        return objective


class MomentumAttack(DarkeningAttack):
    """Minimizes the brightness of images, with momentum."""

    def new_update(self) -> Update:
        return Momentum(0.1, 0.9)


@pytest.mark.parametrize("start", [False, True])
def test_images_end_at_the_limit_of_the_ball_or_of_the_pixel_range(
    start: bool, knowledge: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(3)
    images = DarkeningAttack(eps=0.1, steps=20, random_start=start).perturb(
        knowledge, batch, nn.Module(), Noise(0, batch.ids)
    )
    assert torch.equal(images, (batch.images - 0.1).clamp(min=0))


def test_alpha_follows_its_schedule(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    batch = queries(2)
    RecordingAttack.recorded.clear()
    RecordingAttack(steps=10).perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids))
    logits = knowledge.network.image(batch.images)
    slopes = [0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
    expected = torch.stack([relax(logits, slope) for slope in slopes])
    assert torch.allclose(torch.stack(RecordingAttack.recorded), expected)


def test_momentum_is_reset_for_each_batch(knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    attack, batch = MomentumAttack(steps=3), queries(2)
    first, second = (attack.perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids)) for _ in range(2))
    assert torch.equal(first, second)
