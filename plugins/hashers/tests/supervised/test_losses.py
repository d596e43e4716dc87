"""Values and gradients of the losses against those of published code, on one small example."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.supervised.csq import CSQ, draw_codebook
from retbench_hashers.supervised.dph import DPH
from retbench_hashers.supervised.dpsh import DPSH
from retbench_hashers.supervised.dsh import DSH
from retbench_hashers.supervised.hashnet import HashNet
from retbench_hashers.supervised.supervised_hasher import SupervisedHasher
from retbench_hashers.training import TrainingStep
from torch import Tensor

LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=torch.uint8)
MEMORY = torch.arange(1, 25).float().sin().reshape(6, 4)
# The published values of CSQ have the tie bits + - + -.
SEED = next(seed for seed in range(1000) if draw_codebook(3, 4, seed).tie_bits.tolist() == [1, -1, 1, -1])


def loss_and_gradient(hasher: SupervisedHasher, rows: Tensor, logits: bool = False) -> tuple[Tensor, Tensor]:
    """Return the loss of some rows of the memory and its gradient; the loss of DeepHash's code takes logits."""
    inputs = MEMORY[rows].requires_grad_()
    outputs = hasher.outputs(inputs, TrainingStep(0, 0)) if logits else inputs
    loss = hasher.loss(outputs, LABELS, rows, MEMORY)
    return loss.detach(), torch.autograd.grad(loss, inputs)[0]


GOLDEN: dict[str, tuple[SupervisedHasher, bool, float, list[float]]] = {
    "dpsh as in ProS-GAN": (
        DPSH(quantization=50, quantization_form="published"),
        False,
        6.846826,
        [-0.883788, -0.491926, -4.755541, 1.356425],
    ),
    "dpsh as in CgAT": (DPSH(quantization=0.001), False, 0.632666, [-0.003098, 0.011962, 0.015871, 0.005368]),
    "dpsh as in DeepHash": (DPSH(quantization=0.1), False, 0.651123, [-0.005714, 0.010466, 0.001700, 0.009381]),
    "dph": (DPH(), False, 0.884573, [-0.002724, 0.026781, 0.031663, 0.007435]),
    "hashnet as in ProS-GAN": (HashNet(), False, 1.337640, [-0.008635, -0.000773, 0.007800, 0.009202]),
    "hashnet as in SAAT": (HashNet(slope="10/K"), False, 2.425536, [0.282469, 0.328772, 0.072804, -0.250100]),
    "hashnet as in DeepHash": (
        HashNet(pairs="batch", continuation="epochs"),
        True,
        1.316036,
        [-0.026316, -0.007392, 0.035464, 0.030284],
    ),
    "csq as in SAAT": (
        CSQ(quantization=0.05, seed=SEED),
        False,
        2.147060,
        [-0.046575, -0.044402, -0.080185, -0.340630],
    ),
    "csq as in DeepHash": (CSQ(seed=SEED), True, 0.877002, [-0.026120, -0.023269, -0.071665, -0.136596]),
    "dsh": (DSH(), True, 1.528233, [-0.108176, -0.040124, 0.057156, 0.110892]),
}
"""Hasher, whether its inputs are logits, its loss on rows 0 to 2, and the gradient of row 0."""


@pytest.mark.parametrize(("hasher", "logits", "value", "gradient"), GOLDEN.values(), ids=GOLDEN)
def test_losses_equal_those_of_published_code(
    hasher: SupervisedHasher, logits: bool, value: float, gradient: list[float]
) -> None:
    loss, gradients = loss_and_gradient(hasher, torch.arange(3), logits)
    assert float(loss) == pytest.approx(value, abs=2e-6)
    assert gradients[0].tolist() == pytest.approx(gradient, abs=2e-6)


HASHERS = [
    DPSH(),
    DPSH(quantization_form="published"),
    DPH(),
    HashNet(),
    HashNet(class_weighted=False),
    HashNet(pairs="batch"),
    CSQ(),
    DSH(),
]


@pytest.mark.parametrize("hasher", HASHERS, ids=repr)
@pytest.mark.parametrize("rows", [[5, 5], [0, 0], [3]], ids=["without labels", "one class", "one row"])
def test_a_batch_of_one_kind_of_pairs_has_a_finite_loss(hasher: SupervisedHasher, rows: list[int]) -> None:
    loss, gradients = loss_and_gradient(hasher, torch.tensor(rows))
    assert torch.isfinite(loss)
    assert torch.isfinite(gradients).all()


@pytest.mark.parametrize("hasher", HASHERS, ids=repr)
@pytest.mark.parametrize("labels", [torch.ones(6, 1), torch.zeros(6, 3)], ids=["one class for all", "no labels at all"])
def test_a_dataset_of_one_kind_of_pairs_has_a_finite_loss(hasher: SupervisedHasher, labels: Tensor) -> None:
    outputs = MEMORY[:3].clone().requires_grad_()
    loss = hasher.loss(outputs, labels.to(torch.uint8), torch.arange(3), MEMORY)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, outputs)[0]).all()


@pytest.mark.parametrize("hasher", HASHERS, ids=repr)
def test_saturated_codes_have_a_finite_gradient(hasher: SupervisedHasher) -> None:
    logits = (100 * MEMORY[:3]).requires_grad_()
    loss = hasher.loss(torch.tanh(logits), LABELS, torch.arange(3), MEMORY.sign())
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()


@pytest.mark.parametrize("bits", [12, 48, 128])
@pytest.mark.parametrize("hasher", HASHERS, ids=repr)
def test_a_gradient_step_lowers_the_loss_at_any_code_length(hasher: SupervisedHasher, bits: int) -> None:
    codes = torch.tanh(torch.randn(6, bits, generator=torch.Generator().manual_seed(0)))
    outputs = codes[:3].clone().requires_grad_()
    loss = hasher.loss(outputs, LABELS, torch.arange(3), codes)
    moved = (outputs - 1e-2 * torch.autograd.grad(loss, outputs)[0]).detach()
    assert hasher.loss(moved, LABELS, torch.arange(3), codes) < loss


@pytest.mark.parametrize("hasher", [DPSH(quantization=0), DPH(), HashNet(class_weighted=False)], ids=str)
def test_memory_rows_without_a_visit_have_no_effect_on_the_gradient(hasher: SupervisedHasher) -> None:
    outputs = MEMORY[:2].clone().requires_grad_()
    loss = hasher.loss(outputs, LABELS, torch.arange(2), torch.zeros(6, 4))
    assert not torch.autograd.grad(loss, outputs)[0].any()
