"""The loss of a batch, against published values and a transcription in loops."""

from __future__ import annotations

import math

import pytest
import torch
from retbench_hashers.dgcpn_loss import CoherenceLoss
from retbench_hashers.dgcpn_similarity import graph_similarity
from torch import Tensor


def waves(rows: int, columns: int, down: float, across: float, shift: float) -> Tensor:
    """Returns sin(down * i + across * j + shift), float32 (rows, columns)."""
    return torch.sin(down * torch.arange(rows)[:, None] + across * torch.arange(columns) + shift)


IMAGES = torch.tanh(waves(8, 4, 0.7, 1.3, 0.2))
TEXTS = torch.tanh(waves(8, 4, 0.9, -0.8, 0.5))
SIMILARITY = graph_similarity(
    waves(8, 5, 0.5, 1.1, 0.1).abs(), waves(8, 6, 1.2, 0.4, 0.9).abs(), neighbours=4, scale=10
)

PUBLISHED = {
    "all": (CoherenceLoss(), 8.130757),
    "pair": (CoherenceLoss(similarity_weight=0, consistency_weight=0), 2.411152),
    "similarity": (CoherenceLoss(pair_weight=0, consistency_weight=0), 1.085192 + 1.209503 + 1.294710),
    "consistency": (CoherenceLoss(pair_weight=0, similarity_weight=0), 2.130201),
}


@pytest.mark.parametrize(("objective", "value"), PUBLISHED.values(), ids=PUBLISHED)
def test_each_part_is_the_published_one(objective: CoherenceLoss, value: float) -> None:
    assert float(objective(IMAGES, TEXTS, SIMILARITY)) == pytest.approx(value, abs=2e-6)


def test_with_the_signs_of_one_side_it_is_the_published_one() -> None:
    assert float(CoherenceLoss()(IMAGES, TEXTS.sign(), SIMILARITY)) == pytest.approx(7.990692, abs=2e-6)
    assert float(CoherenceLoss()(IMAGES.sign(), TEXTS, SIMILARITY)) == pytest.approx(8.320465, abs=2e-6)


def cosine(first: Tensor, second: Tensor) -> float:
    return float(first @ second) / math.sqrt(float(first @ first) * float(second @ second))


@pytest.mark.parametrize("rows", [[2, 5, 7], [4]], ids=["three rows", "one row"])
def test_a_batch_is_that_of_a_loop(rows: list[int]) -> None:
    total, count = 0.0, len(rows)
    for i in rows:
        total += 0.5 * (cosine(IMAGES[i], TEXTS[i]) - 1.2) ** 2 / count
        for j in rows:
            images, texts = cosine(IMAGES[i], IMAGES[j]), cosine(TEXTS[i], TEXTS[j])
            across, back = cosine(IMAGES[i], TEXTS[j]), cosine(IMAGES[j], TEXTS[i])
            wanted = float(SIMILARITY[i, j])
            followed = sum((each - wanted) ** 2 for each in (images, texts, across)) if i != j else 0.0
            alike = (across - images) ** 2 + (across - texts) ** 2 + (images - texts) ** 2 + (across - back) ** 2
            total += (2 * followed + 3 * alike) / count**2
    chosen = torch.tensor(rows)
    found = CoherenceLoss(1.2, 0.5, 2, 3)(IMAGES[chosen], TEXTS[chosen], SIMILARITY[chosen[:, None], chosen])
    assert float(found) == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("images", [IMAGES, torch.zeros(8, 4), 1e-30 * IMAGES], ids=["codes", "zeros", "tiny"])
def test_gradients_are_finite_and_those_of_the_published_problem_move_every_code(images: Tensor) -> None:
    images, texts = images.clone().requires_grad_(), TEXTS.clone().requires_grad_()
    loss = CoherenceLoss()(images, texts, SIMILARITY)
    gradients = torch.autograd.grad(loss, (images, texts))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert gradients[1].abs().sum(dim=1).gt(0).all()


def test_the_length_of_a_code_says_nothing() -> None:
    torch.testing.assert_close(
        CoherenceLoss()(3 * IMAGES, TEXTS / 2, SIMILARITY), CoherenceLoss()(IMAGES, TEXTS, SIMILARITY)
    )


def test_a_pair_that_agrees_is_still_pulled() -> None:
    one = torch.ones(2, 4)
    objective = CoherenceLoss(similarity_weight=0, consistency_weight=0)
    assert float(objective(one, one, torch.ones(2, 2))) == pytest.approx(0.25)
