"""A trainable piece that components own and share."""

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
    """A backbone, a denoiser, a prototype net: fitted once for each dataset, whoever owns it.

    Two components that return equal parts share one fit.

    Class attributes:
        learns: whether `fit` looks at the data, draws, or computes; a part that only reads a file says no, and is then
            one artifact for all datasets, seeds and precisions.
    """

    kind: ClassVar[Kind] = "part"
    learns: ClassVar[bool] = True

    @abstractmethod
    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the trained weights."""

    @abstractmethod
    def module(self, state: State, device: torch.device) -> nn.Module:
        """Return the network with these weights, frozen and in eval mode, on `device`."""
