"""What the core believes of a plugin's images: only what it has checked."""

from __future__ import annotations

import torch
from torch import Tensor

from retbench.contracts import Ball, Component
from retbench.errors import ContractBreach

ROUNDING = 1e-5
"""How far rounding may carry an image over an edge; such residue is projected, more is a breach."""


def checked_images(images: object, like: Tensor, culprit: Component) -> Tensor:
    """Return `images` clamped to [0, 1] after checking type, shape, dtype, NaN and range against `like`.

    Raises:
        ContractBreach: naming the component and its package.
    """
    if not isinstance(images, Tensor):
        raise breach(culprit, f"it must return a tensor: got {type(images).__name__}")
    if images.shape != like.shape:
        raise breach(culprit, f"wrong shape: got {tuple(images.shape)}, expected {tuple(like.shape)}")
    if images.dtype != torch.float32:
        raise breach(culprit, f"wrong dtype: got {images.dtype}, expected torch.float32")
    images = images.detach().to(like.device)
    if not torch.isfinite(images).all():
        raise breach(culprit, f"NaN or infinity in {int((~torch.isfinite(images)).sum())} pixels")
    if images.numel() and (images.min() < -ROUNDING or images.max() > 1 + ROUNDING):
        low, high = float(images.min()), float(images.max())
        raise breach(culprit, f"out of range: got [{low:.6g}, {high:.6g}], expected [0, 1]")
    return images.clamp(0, 1)


def inside_ball(images: Tensor, clean: Tensor, ball: Ball | None, culprit: Component) -> Tensor:
    """Return `images` projected into the declared ball around `clean`; only rounding residue is forgiven.

    Raises:
        ContractBreach: an image is farther than eps + 1e-5.
    """
    if ball is None or not images.numel():
        return images
    delta = images - clean
    distance = perturbation_norm(delta, ball)
    if float(distance.max()) > ball.eps + ROUNDING:
        over = float(distance.max())
        raise breach(culprit, f"it left its {ball.norm} ball: got {over:.6g}, expected at most {ball.eps:.6g}")
    if ball.norm == "linf":
        return (clean + delta.clamp(-ball.eps, ball.eps)).clamp(0, 1)
    scale = (ball.eps / distance.clamp(min=1e-12)).clamp(max=1.0)
    return clean + delta * scale[:, None, None, None]


def perturbation_norm(delta: Tensor, ball: Ball) -> Tensor:
    """Return the ball's norm of each image of `delta` (B, 3, H, W): float32 (B,)."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if ball.norm == "linf" else flat.norm(dim=1)


def eight_bits(images: Tensor, clean: Tensor | None = None) -> Tensor:
    """Return `images` on the grid of 8-bit values; towards `clean`, itself on it, where given: any ball is kept."""
    if clean is None:
        return (images * 255).round() / 255
    steps = torch.trunc((images - clean) * 255 + torch.sign(images - clean) * 255 * ROUNDING)
    return ((clean * 255).round() + steps).clamp(0, 255) / 255


def breach(culprit: Component, problem: str) -> ContractBreach:
    """Return the error that names the component and the package that broke its contract."""
    return ContractBreach(f"{culprit} (package {type(culprit).__module__.partition('.')[0]})", problem)
