"""What the core believes of a plugin's images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retbench.contracts import Ball
from retbench.contracts.threat import Norm
from retbench.errors import ContractBreach
from retbench.stages.check import checked_images, eight_bits, inside_ball, perturbation_norm
from retbench.testing.toys import ToyAttack, ToyPurifier

SHAPE = (2, 3, 4, 4)
NORMS: tuple[Norm, ...] = ("linf", "l2")


def gray(level: float = 0.5) -> Tensor:
    return torch.full(SHAPE, level)


def eight_bit_images(seed: int) -> Tensor:
    return torch.randint(256, SHAPE, generator=torch.Generator().manual_seed(seed)) / 255


def pushed(clean: Tensor, ball: Ball, seed: int) -> Tensor:
    """Images as far as a sloppy attack may leave them: on the ball's surface and a rounding residue beyond."""
    delta = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    delta = delta.sign() if ball.norm == "linf" else delta / delta.flatten(1).norm(dim=1)[:, None, None, None]
    moved = (clean + delta * (ball.eps + 9e-6)).clamp(-9e-6, 1 + 9e-6)
    return moved


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (gray() * float("nan"), "NaN or infinity in 96 pixels"),
        (gray() / 0, "NaN or infinity in 96 pixels"),
        (gray()[:, :, 1:], r"wrong shape: got \(2, 3, 3, 4\), expected \(2, 3, 4, 4\)"),
        (gray().double(), "wrong dtype: got torch.float64, expected torch.float32"),
        (gray(1.00002), r"out of range: got \[1.00002, 1.00002\], expected \[0, 1\]"),
        (gray(-0.00002), "out of range"),
        (gray().tolist(), "it must return a tensor: got list"),
    ],
    ids=["nan", "inf", "shape", "dtype", "above", "below", "type"],
)
def test_a_fault_is_a_breach_that_names_component_and_package(images: Any, problem: str) -> None:
    with pytest.raises(ContractBreach, match=rf"^defense toy \(package retbench\): {problem}"):
        checked_images(images, gray(), ToyPurifier())


def test_rounding_residue_outside_the_range_is_clamped() -> None:
    images = torch.cat([gray(-9e-6), gray(1 + 9e-6)])
    checked = checked_images(images, images, ToyAttack())
    assert checked.min() == 0
    assert checked.max() == 1


def test_checked_images_carry_no_gradient() -> None:
    assert not checked_images(gray().requires_grad_(), gray(), ToyAttack()).requires_grad


@pytest.mark.parametrize("norm", NORMS)
def test_leaving_the_ball_by_more_than_rounding_is_a_breach(norm: Norm) -> None:
    clean, ball = gray(), Ball(norm, 0.1)
    images = clean.clone()
    images[1, 0, 0, 0] += 0.1 + 2e-5
    with pytest.raises(
        ContractBreach, match=rf"^attack toy \(package retbench\): it left its {norm} ball: got 0.10002"
    ):
        inside_ball(images, clean, ball, ToyAttack())


@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-3, 1), seed=st.integers(0, 1000), clean=st.integers(0, 1000))
def test_rounding_residue_is_projected_into_ball_and_range(norm: Norm, eps: float, seed: int, clean: int) -> None:
    ball, queries = Ball(norm, eps), eight_bit_images(clean)
    images = inside_ball(checked_images(pushed(queries, ball, seed), queries, ToyAttack()), queries, ball, ToyAttack())
    assert float(perturbation_norm(images - queries, ball).max()) <= eps + 2e-7
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1


@given(norm=st.sampled_from(NORMS), share=st.floats(0, 0.999), seed=st.integers(0, 1000))
def test_images_inside_the_ball_stay_as_they_are(norm: Norm, share: float, seed: int) -> None:
    clean = eight_bit_images(seed)
    images = (clean + share * (pushed(clean, Ball(norm, 0.2), seed) - clean)).clamp(0, 1)
    assert torch.allclose(inside_ball(images, clean, Ball(norm, 0.2), ToyAttack()), images, rtol=0, atol=1e-7)


def test_an_attack_without_a_ball_may_go_anywhere() -> None:
    assert torch.equal(inside_ball(gray(1.0), gray(0.0), None, ToyAttack()), gray(1.0))


@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-3, 1), seed=st.integers(0, 1000), clean=st.integers(0, 1000))
def test_eight_bits_land_on_the_grid_and_keep_the_ball(norm: Norm, eps: float, seed: int, clean: int) -> None:
    ball, queries = Ball(norm, eps), eight_bit_images(clean)
    images = inside_ball(checked_images(pushed(queries, ball, seed), queries, ToyAttack()), queries, ball, ToyAttack())
    rounded = eight_bits(images, queries)
    assert torch.equal(rounded, (rounded * 255).round() / 255)
    assert float(perturbation_norm(rounded - queries, ball).max()) <= eps + 1e-5


@pytest.mark.parametrize("levels", [8, 16])
def test_eight_bits_keep_a_step_of_whole_gray_levels(levels: int) -> None:
    clean = torch.arange(240)[:, None, None, None].expand(-1, 3, 4, 4) / 255
    assert torch.allclose(eight_bits(clean + levels / 255, clean) - clean, torch.tensor(levels / 255))


def test_eight_bits_without_a_ball_are_the_nearest() -> None:
    images = torch.tensor([0.4, 0.6, 254.7]) / 255
    assert torch.equal(eight_bits(images), torch.tensor([0.0, 1.0, 255.0]) / 255)


def test_empty_batches_pass() -> None:
    nothing = torch.zeros(0, 3, 4, 4)
    checked = inside_ball(checked_images(nothing, nothing, ToyAttack()), nothing, Ball("l2", 0.1), ToyAttack())
    assert eight_bits(checked, nothing).shape == eight_bits(checked).shape == (0, 3, 4, 4)
