"""HAG's losses, compared with values of the published codes, and the effect of the attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from retbench_attacks.iterative.hag import HAG, masked_loss, unmasked_loss
from torch import nn

from retbench import Ball, Batch, Knowledge, Noise, sign

OUTPUTS = torch.arange(1, 25).float().sin().reshape(6, 4)[:3]
CLEAN = torch.tanh(0.8 * torch.tensor([[1.0, -1, 1, 1], [-1, 1, 1, -1], [1, 1, -1, -1]]))


def test_masked_loss_has_the_value_of_the_code_of_saat() -> None:
    codes = OUTPUTS.clone().requires_grad_()
    loss = masked_loss(codes, CLEAN).mean()
    assert loss.item() == pytest.approx(1.882426, abs=2e-6)
    (gradient,) = torch.autograd.grad(loss, codes)
    assert gradient[0].tolist() == pytest.approx([0.334498, 0, 0.334498, 0], abs=1e-6)


def test_unmasked_loss_has_the_value_of_the_code_of_atrdh() -> None:
    codes = OUTPUTS.clone().requires_grad_()  # ATRDH pools the bits of a batch, as if it were one long code
    loss = unmasked_loss(codes.reshape(1, 12), CLEAN.reshape(1, 12)).sum()
    assert loss.item() == pytest.approx(1.185209, abs=2e-6)
    (gradient,) = torch.autograd.grad(loss, codes)
    assert gradient[0].tolist() == pytest.approx([0.180730, -0.180730, 0.180730, 0.180730], abs=1e-6)


def test_bit_at_the_flip_threshold_has_weight_one_half() -> None:
    codes, clean = torch.tensor([[-0.5, 0.5]]), torch.tensor([[1.0, 1.0]])
    assert masked_loss(codes, clean).item() == pytest.approx(((-0.25 + 0.5) / 1.5 + 1) ** 2 + (0.25 / 2) ** 2)


@pytest.mark.parametrize(("loss", "value"), [(masked_loss, 1.0), (unmasked_loss, 0.0)], ids=["saat", "atrdh"])
def test_gradient_is_zero_once_all_bits_have_flipped(loss: Callable[..., torch.Tensor], value: float) -> None:
    codes = (-0.9 * torch.ones(1, 4)).requires_grad_()
    got = loss(codes, torch.ones(1, 4))
    assert got.item() == pytest.approx(value)
    assert torch.equal(torch.autograd.grad(got.sum(), codes)[0], torch.zeros(1, 4))


@pytest.mark.parametrize(
    "attack",
    [
        HAG(steps=100, eps=0.3, step_size=1.0, alpha="constant", alpha_value=0.1),
        HAG(form="atrdh", steps=100, eps=0.3, step_size=1.0, alpha="constant", alpha_value=0.1, random_start=True),
    ],
    ids=["saat", "atrdh"],
)
def test_most_bits_flip(attack: HAG, knowledge: Knowledge, queries: Callable[[int], Batch]) -> None:
    batch = queries(8)
    images = attack.perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids))
    clean, attacked = (sign(knowledge.network.image(pixels)) for pixels in (batch.images, images))
    assert float((clean != attacked).float().mean()) > 0.7


def test_a_step_and_a_momentum_that_are_not_given_are_the_published_ones(
    knowledge: Knowledge, queries: Callable[[int], Batch]
) -> None:
    batch = queries(3)
    for form, step, momentum in (("saat", 100 / 128, 0.9), ("atrdh", 1 / 32, 0.0)):
        implied, given = HAG(steps=4, form=form), HAG(steps=4, form=form, step_size=step, momentum=momentum)
        images = [attack.perturb(knowledge, batch, nn.Module(), Noise(0, batch.ids)) for attack in (implied, given)]
        assert torch.equal(*images)


def test_it_declares_what_it_is(knowledge: Knowledge) -> None:
    assert (HAG().goal, HAG().ball, HAG().steps) == ("untargeted", Ball("linf", 8 / 255), 2000)
    assert "texts" in (HAG().supports(replace(knowledge.facts, task="t2i")) or "")
