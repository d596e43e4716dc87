"""The losses of ProS-GAN's prototype network, compared with values of the published code."""

from __future__ import annotations

import pytest
import torch
from retbench_attacks.prototypes.prosgan_prototypes import ProsGanPrototypes, likelihood_loss
from retbench_attacks.prototypes.prototype_network import Prototypes
from retbench_attacks.prototypes.prototype_part import quantization_loss
from torch import Tensor

from retbench import sign

OUTPUTS = torch.arange(1, 25).float().sin().reshape(6, 4)
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).float()
SIMILAR = LABELS[:3] @ LABELS.T > 0


def gradient_of(loss: Tensor, codes: Tensor) -> list[float]:
    return torch.autograd.grad(loss, codes)[0][0].tolist()


def test_likelihood_loss_has_the_published_value() -> None:
    codes = OUTPUTS[:3].clone().requires_grad_()
    loss = likelihood_loss(codes, sign(OUTPUTS), SIMILAR)
    assert loss.item() == pytest.approx(0.665983, abs=1e-6)
    assert gradient_of(loss, codes) == pytest.approx([0.006860, -0.000701, 0.025351, -0.006860], abs=1e-6)


def test_weighted_quantization_loss_has_the_published_value() -> None:
    codes = OUTPUTS[:3].clone().requires_grad_()
    loss = 1e-4 * quantization_loss(codes)
    assert loss.item() == pytest.approx(0.000075, abs=1e-6)
    assert gradient_of(loss, codes) == pytest.approx([-1.1e-5, -6e-6, -5.7e-5, 1.6e-5], abs=1e-6)


def test_loss_is_the_weighted_sum_of_three_terms() -> None:
    predicted_labels = torch.full((3, 3), 0.25)
    part = ProsGanPrototypes(quantization=0.5, reconstruction=2.0)
    loss = part.loss(Prototypes(OUTPUTS, OUTPUTS[:3], predicted_labels), LABELS[:3], sign(OUTPUTS).float(), SIMILAR)
    errors = (predicted_labels - LABELS[:3]).square().mean()
    expected = 0.665983 + 0.5 * quantization_loss(OUTPUTS[:3]) + 2.0 * errors
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
