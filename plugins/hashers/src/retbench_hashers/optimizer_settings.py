"""Settings of an optimizer and of its learning rate schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

OptimizerName = Literal["adamw", "sgd", "rmsprop"]


class OptimizerSettings(NamedTuple):
    """Settings of an optimizer and of the learning rate schedule that published code uses with it.

    `adamw` (weight decay 0.01) follows one cycle: up to `learning_rate` over 30 % of the steps, then down to zero along
    a cosine. `sgd` starts at `learning_rate` and decays in steps (`step_decay`), as in the code of ProS-GAN, ATRDH,
    SAAT and CgAT. `rmsprop` keeps `learning_rate`, as in the code of DeepHash.

    Attributes:
        optimizer: name of the optimizer.
        learning_rate: the highest learning rate.
        weight_decay: of `sgd` and `rmsprop`; this multiple of the weights is added to the gradient.
        momentum: of `sgd` and `rmsprop`.

    Source: Loshchilov and Hutter 2019 (AdamW); Smith and Topin 2018 (one cycle).
    """

    optimizer: OptimizerName
    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.0

    def build(self, parameters: Iterable[nn.Parameter], epochs: int, batches: int) -> tuple[Optimizer, LRScheduler]:
        """Return the optimizer and its schedule; step the schedule after each of `epochs * batches` training steps."""
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
    """Return the factor of the learning rate in `epoch`, counted from 0: a tenth after each third of `epochs`.

    The published code updates it after an epoch, so the first third is one epoch longer: 100 epochs are 34, 33 and 33.
    A third is rounded down and lasts at least one epoch.
    """
    third = max(1, epochs // 3)
    return float(0.1 ** (max(0, epoch - 1) // third))
