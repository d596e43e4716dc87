"""Update rules of the iterative attacks, from gradients to steps; each image is updated independently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

Update = Callable[[Tensor], Tensor]
"""Maps the gradient (B, 3, H, W) to the step subtracted from the images. It may have state: create one per batch."""

Direction = Literal["sign", "l2", "raw"]


def gradient_update(direction: Direction, step_size: float) -> Update:
    """Return `step_size` times the gradient's `sign`, its unit vector per image (`l2`), or the gradient (`raw`).

    A zero gradient gives a zero step.
    """
    if direction == "sign":
        return lambda gradient: gradient.sign().mul_(step_size)
    if direction == "raw":
        return lambda gradient: gradient * step_size
    tiny = torch.finfo(torch.float32).tiny
    return lambda gradient: normalize(gradient.flatten(1), eps=tiny).view_as(gradient).mul_(step_size)


class Momentum:
    """Gradient descent with momentum, m = decay m + g, as in `torch.optim.SGD`; a decay of 0 is plain descent."""

    def __init__(self, step_size: float, decay: float) -> None:
        self.step_size, self.decay = step_size, decay
        self.velocity: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the step for this gradient."""
        self.velocity = gradient if self.velocity is None else self.decay * self.velocity + gradient
        return self.step_size * self.velocity


class Adam:
    """Adam as in `torch.optim.Adam`, with betas 0.9 and 0.999 and epsilon 1e-8.

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, step_size: float) -> None:
        self.step_size, self.step = step_size, 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the step for this gradient."""
        if self.mean is None or self.square is None:
            self.mean, self.square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.step += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        denominator = (self.square / (1 - 0.999**self.step)).sqrt_().add_(1e-8)
        return (self.step_size / (1 - 0.9**self.step)) * self.mean / denominator
