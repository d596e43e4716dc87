"""HashNet's continuation, and its loss without similar or without dissimilar pairs."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from retbench_hashers.supervised.hashnet import HashNet
from retbench_hashers.training import TrainingStep
from torch.nn.functional import softplus

from retbench import OptionError

LOGITS = torch.linspace(-2, 2, 8).reshape(2, 4)
CODES = torch.arange(1, 25).float().cos().reshape(6, 4)


def scale(hasher: HashNet, epoch: int, step: int) -> float:
    """Return the scale inside tanh in a training step."""
    outputs = hasher.outputs(LOGITS.double(), TrainingStep(epoch, step))
    return float((torch.atanh(outputs) / LOGITS).mean())


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1), (198, 1), (199, 1.4142136), (399, 1.7320508), (598, 1.7320508), (999, 2.4494897)]
)
def test_the_scale_grows_every_200_steps(step: int, expected: float) -> None:
    assert scale(HashNet(), epoch=70, step=step) == pytest.approx(expected)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1), (19, 1), (20, 1.4142136), (149, 8**0.5)])
def test_the_scale_can_grow_every_20_epochs(epoch: int, expected: float) -> None:
    assert scale(HashNet(continuation="epochs"), epoch, step=10_000) == pytest.approx(expected)


def test_the_scale_is_constant_without_continuation() -> None:
    assert scale(HashNet(continuation="none"), epoch=100, step=10_000) == pytest.approx(1)


@pytest.mark.parametrize(("label", "similarity"), [(1, 1.0), (0, 0.0)], ids=["all similar", "all dissimilar"])
@pytest.mark.parametrize("pairs", ["memory", "batch"])
def test_if_all_pairs_are_of_one_kind_the_loss_is_their_mean(
    label: int, similarity: float, pairs: Literal["memory", "batch"]
) -> None:
    labels, rows = torch.full((6, 1), label, dtype=torch.uint8), torch.arange(3)
    inner_products = 0.1 * CODES[rows] @ (CODES if pairs == "memory" else CODES[rows]).T
    expected = (softplus(inner_products) - similarity * inner_products).mean()
    for weighted in (True, False):
        hasher = HashNet(class_weighted=weighted, pairs=pairs)
        torch.testing.assert_close(hasher.loss(CODES[rows], labels, rows, CODES), expected)


def test_with_pairs_in_the_batch_both_codes_have_a_gradient() -> None:
    labels, rows = torch.eye(6, dtype=torch.uint8), torch.tensor([1, 4])
    outputs = CODES[rows].requires_grad_()
    loss = HashNet(pairs="batch", class_weighted=False).loss(outputs, labels, rows, torch.full((6, 4), torch.nan))
    first, second = torch.autograd.grad(loss, outputs)[0]
    products = 0.1 * CODES[rows] @ CODES[rows].T
    slopes = (products.sigmoid() - torch.eye(2)) * 0.1 / 4
    torch.testing.assert_close(first, 2 * slopes[0] @ CODES[rows])
    torch.testing.assert_close(second, 2 * slopes[1] @ CODES[rows])


@pytest.mark.parametrize("slope", ["1/K", 0, -1])
def test_an_invalid_slope_is_an_option_error(slope: object) -> None:
    with pytest.raises(OptionError, match="hasher hashnet: slope"):
        HashNet.create({"slope": slope})
