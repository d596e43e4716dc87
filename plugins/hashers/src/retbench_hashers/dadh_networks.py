"""The networks of DADH: a branch for each modality, and the discriminators that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Branch(nn.Module):
    """Hidden layers with batch normalisation, and a linear hash layer above them.

    Weights are PyTorch's own draws: the published code has a method that draws others and never calls it.

    Args:
        width: features of an input, F.
        hidden: outputs of each hidden layer.
        bits: K.
        dropout: whether half of each hidden layer is dropped in training.
    """

    def __init__(self, width: int, hidden: Sequence[int], bits: int, *, dropout: bool) -> None:
        super().__init__()
        self.scaling = Scaling()
        layers = [_hidden(*sizes, dropout=dropout) for sizes in pairwise((width, *hidden))]
        self.hidden = nn.Sequential(*layers)
        self.hash = nn.Linear(hidden[-1], bits)

    def features(self, inputs: Tensor) -> Tensor:
        """Returns the last hidden layer (B, hidden[-1]), none negative."""
        features: Tensor = self.hidden(self.scaling(inputs))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns logits (B, K) of inputs (B, F)."""
        logits: Tensor = self.hash(self.features(inputs))
        return logits


class Scaling(nn.Module):
    """(x - mean) / deviation, with two numbers for all features: 0 and 1 until they are set, and part of the state."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def set(self, mean: float, deviation: float) -> None:
        """Takes the two numbers; a deviation of 0 scales nothing."""
        self.mean.fill_(mean)
        self.deviation.fill_(deviation or 1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the scaled inputs."""
        return (inputs - self.mean) / self.deviation


def discriminator(widths: Sequence[int]) -> nn.Sequential:
    """Returns layers from `widths[0]` to one logit, rectified between; weights as of He et al. 2015, biases zero."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((*widths, 1)):
        layers += [_drawn(nn.Linear(inputs, outputs)), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def _hidden(inputs: int, outputs: int, *, dropout: bool) -> nn.Sequential:
    layers = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Dropout(0.5)) if dropout else nn.Sequential(*layers)


def _drawn(layer: nn.Linear) -> nn.Linear:
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
