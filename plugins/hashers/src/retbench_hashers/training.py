"""Training in epochs of shuffled batches, with one optimizer under a learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retbench import Context, Course
from retbench_hashers.optimization import Optimization


class TrainingStep(NamedTuple):
    """Position of a batch in a training.

    Attributes:
        epoch: epochs closed before it.
        step: steps taken before it, in all epochs.
    """

    epoch: int
    step: int


BatchLoss = Callable[[Tensor, TrainingStep], Tensor]
"""From training rows int64 (B,), on the CPU, to their scalar loss."""


class Training(NamedTuple):
    """Epochs over a training split in shuffled batches, resumable from checkpoints between epochs.

    Attributes:
        epochs: passes over the training split.
        batch_size: most rows in a step; the batches of an epoch are of equal size up to one row, because batch
            normalization learns nothing from the single row that a full split can leave over.
        optimization: optimizer and learning rate schedule.
    """

    epochs: int
    batch_size: int
    optimization: Optimization

    def run(
        self, network: nn.Module, batch_loss: BatchLoss, count: int, ctx: Context, memory: Tensor | None = None
    ) -> None:
        """Train `network` in place, and record the mean `loss` of each epoch.

        Args:
            network: left in training mode.
            batch_loss: called once a step.
            count: rows of the training split.
            ctx: device, shuffling noise, progress and checkpoints.
            memory: tensor that `batch_loss` writes in place and reads in later steps; part of the checkpoints.

        Raises:
            ValueError: a loss is not finite.
        """
        batches = math.ceil(count / self.batch_size)
        optimizer, schedule = self.optimization.start(network.parameters(), self.epochs, batches)
        course = Course(
            ctx,
            {"network": network, "optimizer": optimizer, "schedule": schedule},
            {} if memory is None else {"memory": memory},
        )
        network.train()
        for epoch in range(course.epoch, self.epochs):
            total = torch.zeros((), device=ctx.device)
            # Rows stay on the CPU, where images are read by them.
            for rows in course.shuffle(count).tensor_split(batches):
                loss = batch_loss(rows, TrainingStep(epoch, course.step))
                total += course.descend(optimizer, loss) * len(rows)
                schedule.step()
                course.advance(self.epochs * batches)
            course.close_epoch({"loss": float(total) / count})
        course.record()
