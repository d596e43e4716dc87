"""A trainable piece that components own and share, such as a backbone."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.training import TrainingData
from retbench.contracts.types import State


class Part(Component):
    """A trainable piece of a component, such as a backbone or a denoiser.

    Components with equal parts share one fit per dataset.

    Class attributes:
        learns: whether `fit` depends on the data, on random numbers or on the precision. A part that only reads a file
            sets it to False; all datasets, seeds and precisions then share one artifact.
    """

    kind: ClassVar[Kind] = "part"
    learns: ClassVar[bool] = True

    @abstractmethod
    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the trained weights.

        Args:
            inputs: the training split.
            ctx: device, precision, noise and services of the running step.
        """

    @abstractmethod
    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the network with these weights, frozen and in eval mode, on `device`."""
