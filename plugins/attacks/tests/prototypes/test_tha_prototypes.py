"""The circle loss, compared with values of the published codes and with a loop over pairs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from retbench_attacks.prototypes.tha_prototypes import circle_loss
from torch import Tensor

from retbench import sign

OUTPUTS = torch.arange(1, 25).float().sin().reshape(6, 4)
CODES = sign(OUTPUTS)
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).float()
SIMILAR = LABELS[:3] @ LABELS.T > 0


def loss_and_gradient(similar: Tensor, **options: Any) -> tuple[float, Tensor]:
    codes = OUTPUTS[:3].clone().requires_grad_()
    loss = circle_loss(codes, CODES, similar, **options)
    return loss.item(), torch.autograd.grad(loss, codes)[0]


@pytest.mark.parametrize(
    ("form", "loss", "gradient"),
    [
        ("sum", 4.773234, [0.242512, 0.237264, 0.278361, -0.242512]),
        ("softplus", 4.781652, [0.240480, 0.235276, 0.276027, -0.240480]),
    ],
)
def test_circle_loss_has_the_published_values(form: Any, loss: float, gradient: list[float]) -> None:
    got, slope = loss_and_gradient(SIMILAR, form=form, triangular=True)
    assert got == pytest.approx(loss, abs=2e-6)
    assert slope[0].tolist() == pytest.approx(gradient, abs=1e-6)


def test_without_the_triangular_filter_all_pairs_count() -> None:
    near, far = 0.0, 0.0
    for row in range(3):
        for column in range(6):
            c = float(OUTPUTS[row] @ CODES[column].float()) / 4
            if SIMILAR[row, column]:
                near += math.exp(-max(0.0, 2 - c) * c)
            else:
                far += math.exp(max(0.0, 2 + c) * c)
    assert loss_and_gradient(SIMILAR)[0] == pytest.approx(math.log(near) + math.log(far), abs=1e-5)


def test_correct_codes_have_a_lower_loss() -> None:
    codes = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    similar = torch.eye(2, dtype=torch.bool)
    assert circle_loss(codes, codes, similar) < circle_loss(-codes, codes, similar)


@pytest.mark.parametrize("form", ["sum", "softplus"])
@pytest.mark.parametrize("value", [False, True])
def test_term_without_pairs_is_left_out(form: Any, value: bool) -> None:
    loss, gradient = loss_and_gradient(torch.full((3, 6), value), form=form)
    assert math.isfinite(loss)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize(("form", "nothing"), [("sum", 0.0), ("softplus", math.log(2))])
def test_loss_without_pairs_is_that_of_empty_sums(form: Any, nothing: float) -> None:
    assert float(circle_loss(OUTPUTS[:0], CODES, SIMILAR[:0], form)) == pytest.approx(nothing)
