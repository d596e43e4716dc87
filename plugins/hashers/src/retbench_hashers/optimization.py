"""An optimizer and the schedule of its learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

OptimizerName = Literal["adamw", "sgd", "rmsprop"]


class Optimization(NamedTuple):
    """An optimizer with the learning rate schedule that the published codes pair it with.

    `adamw` (weight decay 0.01) follows one cycle: up to `learning_rate` over 30 % of the steps, then down to zero by a
    cosine. `sgd` starts at `learning_rate` and steps down as the codes of ProS-GAN, ATRDH, SAAT and CgAT do. `rmsprop`
    stays at `learning_rate`, as in the code of DeepHash.

    Attributes:
        optimizer: its name.
        learning_rate: the highest learning rate.
        weight_decay: of `sgd` and `rmsprop`, as a multiple of the weights added to their gradient.
        momentum: of `sgd` and `rmsprop`.

    Source: Loshchilov and Hutter 2019 (AdamW); Smith and Topin 2018 (one cycle).
    """

    optimizer: OptimizerName
    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.0

    def start(self, parameters: Iterable[nn.Parameter], epochs: int, batches: int) -> tuple[Optimizer, LRScheduler]:
        """Return the optimizer and its schedule, to be stepped once after each of `epochs * batches` steps."""
        if self.optimizer == "adamw":
            adamw = torch.optim.AdamW(parameters, lr=self.learning_rate)
            return adamw, OneCycleLR(adamw, max_lr=self.learning_rate, total_steps=epochs * batches)
        if self.optimizer == "sgd":
            sgd = torch.optim.SGD(
                parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
            )
            return sgd, LambdaLR(sgd, lambda step: step_decay(step // batches, epochs))
        rmsprop = torch.optim.RMSprop(
            parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        return rmsprop, LambdaLR(rmsprop, lambda step: 1.0)


def step_decay(epoch: int, epochs: int) -> float:
    """Return the share of the learning rate in `epoch`, counted from 0: a tenth every third of `epochs`.

    The published codes change it after an epoch, from that epoch's number, so the first share lasts one epoch longer:
    100 epochs are 34, 33 and 33. A third is rounded down, and is at least one epoch.
    """
    third = max(1, epochs // 3)
    return float(0.1 ** (max(0, epoch - 1) // third))
