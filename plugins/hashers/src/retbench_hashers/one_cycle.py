"""The one training schedule of this plugin: AdamW whose step rises to a peak and falls to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from retbench import Context


class OneCycle(NamedTuple):
    """AdamW (decay 0.01) under a one-cycle schedule: up to `peak` over 30 % of the steps, then down by a cosine.

    Attributes:
        epochs: passes over the training split.
        peak: the highest learning rate.
        batch: most rows a step; the batches of an epoch are of equal size up to one row, because batch normalisation
            learns nothing from the single row that a full split can leave over.

    Source: Loshchilov and Hutter 2019 (AdamW); Smith and Topin 2018 (one cycle).
    """

    epochs: int
    peak: float
    batch: int

    def train(
        self, network: nn.Module, batch_loss: Callable[[Tensor], Tensor], count: int, ctx: Context
    ) -> list[float]:
        """Returns the mean loss of each epoch, after training `network` in place.

        Args:
            network: what is trained; left in training mode.
            batch_loss: from training rows int64 (B,) on the context's device to their scalar loss.
            count: rows of the training split.
            ctx: device, the noise that shuffles, and who watches the progress.

        Raises:
            ValueError: the loss of an epoch is not finite.
        """
        batches = math.ceil(count / self.batch)
        optimiser = torch.optim.AdamW(network.parameters(), lr=self.peak)
        cycle = OneCycleLR(optimiser, max_lr=self.peak, total_steps=self.epochs * batches)
        shuffle = ctx.noise.generator("shuffle")
        network.train()
        curve: list[float] = []
        for epoch in range(self.epochs):
            total = torch.zeros((), device=ctx.device)
            order = torch.randperm(count, generator=shuffle).to(ctx.device)
            for index, rows in enumerate(order.tensor_split(batches)):
                optimiser.zero_grad()
                loss = batch_loss(rows)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
                optimiser.step()
                cycle.step()
                total += loss.detach() * len(rows)
                ctx.progress(epoch * batches + index + 1, self.epochs * batches)
            curve.append(_finite(float(total) / count, epoch, self.peak))
        return curve


def _finite(loss: float, epoch: int, peak: float) -> float:
    if not math.isfinite(loss):
        raise ValueError(f"training: the loss of epoch {epoch + 1} diverged: got {loss}, expected a peak below {peak}")
    return loss
