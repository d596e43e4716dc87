"""A hasher: from an image, or a text, to the logits of a binary code."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from retbench.contracts.component import Component, Kind
from retbench.contracts.context import Context
from retbench.contracts.training import TrainingData
from retbench.contracts.types import State

Modality = Literal["image", "text"]


def relax(logits: Tensor, alpha: float = 1.0) -> Tensor:
    """Return tanh(alpha * logits): the continuous code in (-1, 1) that losses and attacks work on."""
    return torch.tanh(alpha * logits)


def sign(logits: Tensor) -> Tensor:
    """Return int8 codes in {-1, +1}; a logit of exactly 0 becomes +1, so that no half bit leaves here.

    Raises:
        ValueError: a NaN, which has no sign.
    """
    if torch.isnan(logits).any():
        raise ValueError(f"sign: logits hold NaN: got {int(torch.isnan(logits).sum())}, expected none")
    return torch.where(logits >= 0, 1, -1).to(torch.int8)


class HashNetwork(nn.Module):
    """The network of a trained hasher: differentiable from pixels to logits."""

    def image(self, images: Tensor) -> Tensor:
        """Return logits (B, K) of float images (B, 3, H, W) in [0, 1]; normalization happens inside."""
        raise LookupError(f"{type(self).__name__}: it does not encode images")

    def text(self, texts: Tensor) -> Tensor:
        """Return logits (B, K) of float32 texts (B, T)."""
        raise LookupError(f"{type(self).__name__}: it does not encode texts")

    def from_features(self, features: Tensor) -> Tensor:
        """Return logits (B, K) of features float32 (B, F) of images, as the hasher's `cached` part computes them.

        `image(x)` is `from_features` of what that part makes of `x`, up to rounding, so that clean images need it once.
        """
        raise LookupError(f"{type(self).__name__}: it does not start from features")


class Hasher(Component):
    """Learns codes whose Hamming distance follows shared labels.

    Class attributes:
        modalities: what its network encodes.
        supervised: whether it has a `loss` on labels, which some hardenings train with.
        cached: the role of a part that training leaves as it is, and above which the network is `from_features`: its
            features of clean images are computed once for each split and stored. None: there is no such part.
    """

    kind: ClassVar[Kind] = "hasher"
    modalities: ClassVar[frozenset[Modality]] = frozenset({"image"})
    supervised: ClassVar[bool] = False
    cached: ClassVar[str | None] = None

    @abstractmethod
    def fit(self, data: TrainingData, ctx: Context) -> State:
        """Return the weights of `network`, trained for `data.facts.bits` bits; parts' states are in `ctx.parts`."""

    @abstractmethod
    def network(self, state: State, device: torch.device) -> HashNetwork:
        """Return the network with these weights on `device`; the core puts it in eval mode and freezes it."""

    def loss(self, outputs: Tensor, labels: Tensor, rows: Tensor, memory: Tensor) -> Tensor:
        """Return the scalar training loss of a batch, for a supervised hasher.

        Args:
            outputs: relaxed codes float32 (B, K), the only ones with a gradient.
            labels: uint8 (N, C), of the whole training split.
            rows: int64 (B,), the training rows of the batch.
            memory: relaxed codes float32 (N, K) of the training split, `outputs` already written into `rows`.

        Raises:
            LookupError: the hasher has no such loss (it is unsupervised).
        """
        raise LookupError(f"hasher {self.name}: it has no supervised loss")
