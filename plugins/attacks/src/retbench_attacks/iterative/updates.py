"""How an iterative attack turns gradients into moves; every image goes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Update = Callable[[Tensor], Tensor]
"""From the gradient (B, 3, H, W) to what is taken off the images. It may remember, so each batch gets a new one."""

Direction = Literal["sign", "l2", "raw"]


def gradient_update(direction: Direction, length: float) -> Update:
    """Return steps `length` times the gradient's `sign`, its unit vector over an image (`l2`), or itself (`raw`).

    A zero gradient gives a zero step.
    """
    if direction == "sign":
        return lambda gradient: gradient.sign().mul_(length)
    if direction == "raw":
        return lambda gradient: gradient * length
    tiny = torch.finfo(torch.float32).tiny
    return lambda gradient: normalize(gradient.flatten(1), eps=tiny).view_as(gradient).mul_(length)


class Momentum:
    """Steps along m = decay m + g, as `torch.optim.SGD` takes them; a decay of 0 is the gradient itself."""

    def __init__(self, length: float, decay: float) -> None:
        self.length, self.decay = length, decay
        self.velocity: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the step for this gradient."""
        self.velocity = gradient if self.velocity is None else self.decay * self.velocity + gradient
        return self.length * self.velocity


class Adam:
    """Steps as `torch.optim.Adam` takes them, with its betas 0.9 and 0.999 and its epsilon 1e-8.

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, length: float) -> None:
        self.length, self.step = length, 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the step for this gradient."""
        if self.mean is None or self.square is None:
            self.mean, self.square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.step += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        spread = (self.square / (1 - 0.999**self.step)).sqrt_().add_(1e-8)
        return (self.length / (1 - 0.9**self.step)) * self.mean / spread
