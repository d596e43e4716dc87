"""A hasher turns an image or a text into the logits of a binary code."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.definition import Declares
from retbench.contracts.training import TrainingData
from retbench.contracts.types import State

Modality = Literal["image", "text"]


def relax(logits: Tensor, alpha: float = 1.0) -> Tensor:
    """Return the relaxed code tanh(alpha * logits), in [-1, 1], which losses and attacks can differentiate.

    The answers to a black-box attack are codes already: relaxed again, they would be in [-0.76, 0.76].
    """
    return torch.tanh(alpha * logits)


def sign(logits: Tensor) -> Tensor:
    """Return the binary codes of logits: int8 in {-1, +1}, of the same shape; a logit of exactly 0 becomes +1.

    Raises:
        ValueError: the logits contain NaN.
    """
    if torch.isnan(logits).any():
        raise ValueError(f"sign: logits contain NaN: got {int(torch.isnan(logits).sum())}, expected none")
    return torch.where(logits >= 0, 1, -1).to(torch.int8)


class HashNetwork(nn.Module):
    """The network of a trained hasher: differentiable from pixels to logits.

    A black-box attack gets a `QueriedNetwork` instead, whose `image` returns relaxed or binary codes.
    """

    def image(self, images: Tensor) -> Tensor:
        """Return the logits (B, K) of float images (B, 3, H, W) in [0, 1]; the network normalizes the images itself."""
        raise LookupError(f"{type(self).__name__}: it does not encode images")

    def text(self, texts: Tensor) -> Tensor:
        """Return the logits (B, K) of float32 texts (B, T)."""
        raise LookupError(f"{type(self).__name__}: it does not encode texts")

    def from_features(self, features: Tensor) -> Tensor:
        """Return the logits (B, K) of image features float32 (B, F) that the hasher's `cached` part computes.

        Up to rounding, `image(x)` equals `from_features(part(x))`; so the features of clean images are computed once.
        """
        raise LookupError(f"{type(self).__name__}: it does not encode features")


class Hasher(Component):
    """Learns codes with small Hamming distances between items that share labels.

    Class attributes:
        modalities: the modalities that the network encodes.
        supervised: whether the class defines `loss`, which some hardenings train with.
        cached: the role of a frozen part whose image features are the input of `HashNetwork.from_features`; the
            features of clean images are computed and stored once per split. None if there is no such part.
    """

    kind: ClassVar[Kind] = "hasher"
    modalities: ClassVar[Annotated[frozenset[Modality], Field(min_length=1)]] = frozenset({"image"})
    supervised: ClassVar[Annotated[bool, Declares("loss")]] = False
    cached: ClassVar[str | None] = None

    @abstractmethod
    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of `network`, trained for codes of `data.facts.bits` bits.

        Args:
            data: the training split.
            ctx: device, precision, noise and services of the running step; the states of parts are in `ctx.parts`.
        """

    @abstractmethod
    def network(self, state: State, device: torch.device) -> HashNetwork:
        """Return the network with these weights on `device`; the core freezes it and sets eval mode."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        """Return the training loss of a batch as a scalar; only a supervised hasher has one.

        Args:
            outputs: relaxed codes of the batch, float32 (B, K), with gradients.
            labels: labels of the whole training split, multi-hot uint8 (N, C).
            rows: training rows of the batch, int64 (B,).
            memory: latest relaxed codes of the whole training split, float32 (N, K), without gradients; at `rows` they
                equal `outputs`.

        Raises:
            LookupError: the hasher is unsupervised.
        """
        raise LookupError(f"hasher {self.name}: it has no supervised loss")
