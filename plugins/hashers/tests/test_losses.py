"""Values and gradients of the losses against those of the published code, on one small problem."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.dph import DPH
from retbench_hashers.dpsh import DPSH
from retbench_hashers.pairwise import PairwiseHasher, pair_similarity
from torch import Tensor

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.uint8)
MEMORY = torch.arange(1, 25).float().sin().reshape(6, 4)


def loss_of(hasher: PairwiseHasher, rows: Tensor, labels: Tensor = LABELS) -> tuple[Tensor, Tensor]:
    outputs = MEMORY[rows].requires_grad_()
    loss = hasher.loss(outputs, labels, rows, MEMORY)
    return loss.detach(), torch.autograd.grad(loss, outputs)[0]


@pytest.mark.parametrize(
    ("hasher", "value", "gradient"),
    [
        (
            DPSH(quantisation=50, quantisation_form="published"),
            6.846826,
            [-0.883788, -0.491926, -4.755541, 1.356425],
        ),
        (DPSH(quantisation=0.001), 0.632666, [-0.003098, 0.011962, 0.015871, 0.005368]),
        (DPH(), 0.884573, [-0.002724, 0.026781, 0.031663, 0.007435]),
    ],
    ids=["dpsh as published", "dpsh as in CgAT", "dph"],
)
def test_a_loss_is_that_of_the_published_code(hasher: PairwiseHasher, value: float, gradient: list[float]) -> None:
    loss, gradients = loss_of(hasher, torch.arange(3))
    assert float(loss) == pytest.approx(value, abs=2e-6)
    assert gradients[0].tolist() == pytest.approx(gradient, abs=2e-6)


@pytest.mark.parametrize("hasher", [DPSH(), DPSH(quantisation_form="published"), DPH()], ids=repr)
@pytest.mark.parametrize("rows", [[5, 5], [0, 0], [3]], ids=["without labels", "one class", "one row"])
def test_a_batch_without_contrast_has_a_finite_loss(hasher: PairwiseHasher, rows: list[int]) -> None:
    loss, gradients = loss_of(hasher, torch.tensor(rows))
    assert torch.isfinite(loss)
    assert torch.isfinite(gradients).all()


@pytest.mark.parametrize("hasher", [DPSH(quantisation=0), DPH()], ids=str)
def test_rows_that_were_never_visited_pull_on_nothing(hasher: PairwiseHasher) -> None:
    outputs = MEMORY[:2].clone().requires_grad_()
    loss = hasher.loss(outputs, LABELS, torch.arange(2), torch.zeros(6, 4))
    assert not torch.autograd.grad(loss, outputs)[0].any()


def test_images_are_similar_when_they_share_a_class() -> None:
    assert pair_similarity(LABELS, torch.tensor([2, 5])).tolist() == [[1, 1, 1, 0, 1, 0], [0] * 6]
