"""The one training loop of this plugin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retbench import Context
from retbench_hashers.course import Course, Stateful
from retbench_hashers.optimisation import Optimisation


class Moment(NamedTuple):
    """When in a training a batch is seen: its epoch, and the steps that were taken before it, both from 0."""

    epoch: int
    step: int


BatchLoss = Callable[[Tensor, Moment], Tensor]
"""From training rows int64 (B,), on the CPU, to their scalar loss."""


class Training(NamedTuple):
    """Epochs over a training split in shuffled batches.

    It leaves a checkpoint after each epoch, where there is a place for one; a training that was killed goes on from the
    last one to the same weights, bit for bit.

    Attributes:
        epochs: passes over the training split.
        batch: most rows a step; the batches of an epoch are of equal size up to one row, because batch normalisation
            learns nothing from the single row that a full split can leave over.
        optimisation: how the weights move.
    """

    epochs: int
    batch: int
    optimisation: Optimisation

    def run(
        self, network: nn.Module, batch_loss: BatchLoss, count: int, ctx: Context, memory: Tensor | None = None
    ) -> list[float]:
        """Returns the mean loss of each epoch, after training `network` in place.

        Args:
            network: what is trained; left in training mode.
            batch_loss: called once a step.
            count: rows of the training split.
            ctx: device, the noise that shuffles, who watches the progress, and where checkpoints go.
            memory: what `batch_loss` carries from step to step; kept in the checkpoints and written in place.

        Raises:
            ValueError: the loss of an epoch is not finite.
        """
        run = _Run(self, network, count, ctx, memory)
        network.train()
        for epoch in range(run.course.epochs, self.epochs):
            run.epoch(epoch, batch_loss)
        return run.course.curves["loss"]


class _Run:
    """What moves while a network is trained."""

    def __init__(self, training: Training, network: nn.Module, count: int, ctx: Context, memory: Tensor | None) -> None:
        self.count, self.ctx = count, ctx
        self.batches = math.ceil(count / training.batch)
        self.steps = training.epochs * self.batches
        self.rate = training.optimisation.rate
        start = training.optimisation.start
        self.optimiser, self.schedule = start(network.parameters(), training.epochs, self.batches)
        moving: dict[str, Stateful] = {
            "network": network,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }
        self.course = Course(ctx, moving, {} if memory is None else {"memory": memory})

    def epoch(self, epoch: int, batch_loss: BatchLoss) -> None:
        """Takes the steps of an epoch. Its rows stay on the CPU, where images are read by them."""
        total = torch.zeros((), device=self.ctx.device)
        order = self.course.order(self.count)
        for step, rows in enumerate(order.tensor_split(self.batches), start=epoch * self.batches):
            self.optimiser.zero_grad()
            loss = batch_loss(rows, Moment(epoch, step))
            torch.autograd.backward(loss)
            self.optimiser.step()
            self.schedule.step()
            total += loss.detach() * len(rows)
            self.ctx.progress(step + 1, self.steps)
        self.course.close_epoch({"loss": float(total) / self.count}, rate=self.rate)
