"""Check the images that attacks and purifiers return."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench.contracts import Ball, Component
from retbench.errors import ContractBreach

ROUNDING = 1e-5
"""The largest excess over a range or a ball that counts as rounding and is projected; more is a breach."""


def check_images(images: object, reference: Tensor, component: Component) -> Tensor:
    """Return `images` clamped to [0, 1], after checking type, shape, dtype, finiteness and range.

    Args:
        images: the value that the component returned.
        reference: float32 (B, 3, H, W), the images that the component was given.
        component: the component that errors name.

    Raises:
        ContractBreach: a check failed.
    """
    if not isinstance(images, Tensor):
        raise contract_breach(component, f"wrong type: got {type(images).__name__}, expected a tensor")
    if images.shape != reference.shape:
        raise contract_breach(component, f"wrong shape: got {tuple(images.shape)}, expected {tuple(reference.shape)}")
    if images.dtype != torch.float32:
        raise contract_breach(component, f"wrong dtype: got {images.dtype}, expected torch.float32")
    images = images.detach().to(reference.device)
    if not torch.isfinite(images).all():
        raise contract_breach(component, f"NaN or infinity in {int((~torch.isfinite(images)).sum())} pixels")
    if images.numel() and (images.min() < -ROUNDING or images.max() > 1 + ROUNDING):
        low, high = float(images.min()), float(images.max())
        raise contract_breach(component, f"out of range: got [{low:.6g}, {high:.6g}], expected [0, 1]")
    return images.clamp(0, 1)


def project_into_ball(images: Tensor, clean: Tensor, ball: Ball | None, component: Component) -> Tensor:
    """Return `images` projected into the declared ball around `clean`, to remove rounding errors.

    Raises:
        ContractBreach: an image is farther than eps + 1e-5 from its clean one.
    """
    if ball is None or not images.numel():
        return images
    delta = images - clean
    distance = perturbation_norm(delta, ball)
    largest = float(distance.max())
    if largest > ball.eps + ROUNDING:
        raise contract_breach(
            component, f"outside its {ball.norm} ball: got a distance of {largest:.6g}, expected at most {ball.eps:.6g}"
        )
    if ball.norm == "linf":
        return (clean + delta.clamp(-ball.eps, ball.eps)).clamp(0, 1)
    scale = (ball.eps / distance.clamp(min=1e-12)).clamp(max=1.0)
    return clean + delta * scale[:, None, None, None]


def perturbation_norm(delta: Tensor, ball: Ball) -> Tensor:
    """Return the norm of each perturbation in the ball's norm: (B, 3, H, W) to float32 (B,)."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if ball.norm == "linf" else flat.norm(dim=1)


def quantize_images(images: Tensor, clean: Tensor | None = None) -> Tensor:
    """Return `images` rounded to 8-bit values.

    With `clean`, which has 8-bit values itself, every pixel is rounded towards it, so that an image stays in its ball.
    """
    if clean is None:
        return (images * 255).round() / 255
    steps = torch.trunc((images - clean) * 255 + torch.sign(images - clean) * 255 * ROUNDING)
    return ((clean * 255).round() + steps).clamp(0, 255) / 255


def contract_breach(component: Component, problem: str) -> ContractBreach:
    """Return the error for a component that broke its contract; it names the component and its package."""
    return ContractBreach(f"{component} (package {type(component).__module__.partition('.')[0]})", problem)
