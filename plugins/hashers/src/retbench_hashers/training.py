"""Training in epochs of shuffled batches, with one optimizer and its learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from retbench import Context, Course
from retbench_hashers.optimizer_settings import OptimizerSettings


class TrainingStep(NamedTuple):
    """Position of a batch in a training, counted from 0.

    Attributes:
        epoch: number of completed epochs.
        step: number of completed steps, over all epochs.
    """

    epoch: int
    step: int


BatchLoss = Callable[[Tensor, TrainingStep], Tensor]
"""Function from training rows, int64 (B,) on the CPU, to their scalar loss."""


class Training(NamedTuple):
    """Settings of a training in epochs of shuffled batches, which resumes from checkpoints between epochs.

    Attributes:
        epochs: passes over the training split.
        batch_size: maximum number of rows per step; the batches of an epoch differ in size by at most one row, so that
            batch normalization never gets a last batch of a single row.
        optimizer: settings of the optimizer and of its learning rate schedule.
    """

    epochs: int
    batch_size: int
    optimizer: OptimizerSettings

    def run(
        self, network: nn.Module, batch_loss: BatchLoss, count: int, ctx: Context, memory: Tensor | None = None
    ) -> None:
        """Train `network` in place, and record the mean `loss` of each epoch.

        Args:
            network: the network; it stays in training mode.
            batch_loss: the loss of a batch, called once per step.
            count: number of rows of the training split.
            ctx: device, shuffling noise, progress and checkpoints.
            memory: a tensor that `batch_loss` modifies in place; it becomes part of the checkpoints.

        Raises:
            ValueError: a loss is not finite.
        """
        batches = math.ceil(count / self.batch_size)
        optimizer, schedule = self.optimizer.build(network.parameters(), self.epochs, batches)
        course = Course(
            ctx,
            {"network": network, "optimizer": optimizer, "schedule": schedule},
            {} if memory is None else {"memory": memory},
        )
        network.train()
        for epoch in range(course.epoch, self.epochs):
            total = torch.zeros((), device=ctx.device)
            # Rows stay on the CPU, where images are read.
            for rows in course.shuffle(count).tensor_split(batches):
                loss = batch_loss(rows, TrainingStep(epoch, course.step))
                # A memory that is not filled yet makes the losses of the first epoch too low to compare with.
                total += course.descend(optimizer, loss, falls=memory is None or epoch > 0) * len(rows)
                schedule.step()
                course.advance(self.epochs * batches)
            course.close_epoch({"loss": float(total) / count})
        course.record()
