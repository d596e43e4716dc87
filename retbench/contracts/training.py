"""The training split as a fit sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from retbench.contracts.dataset import Dataset
from retbench.contracts.facts import Facts


@dataclass(frozen=True)
class TrainingData:
    """Training images, labels and texts of one dataset on one device.

    Attributes:
        dataset: where they come from.
        facts: the dataset's facts; `bits` is set when a hasher, or what depends on one, is fitted.
        device: where the tensors are put.
    """

    dataset: Dataset
    facts: Facts
    device: torch.device

    def __len__(self) -> int:
        return self.facts.sizes["train"]

    @cached_property
    def labels(self) -> Tensor:
        """uint8 (N, C), multi-hot."""
        return self.dataset.labels("train").to(self.device)

    def images(self, rows: Sequence[int]) -> Tensor:
        """Returns float32 (B, 3, H, W) in [0, 1], B the number of `rows`."""
        return unit_images(self.dataset.images("train", rows), self.device)

    def texts(self, rows: Sequence[int]) -> Tensor:
        """Returns float32 (B, T); raises LookupError for a dataset without texts."""
        return self.dataset.texts("train", rows).to(self.device)


def unit_images(images: Tensor, device: torch.device) -> Tensor:
    """Returns uint8 `images` (B, 3, H, W) as float32 in [0, 1] on `device`, channels last in memory."""
    return images.to(device).to(torch.float32, memory_format=torch.channels_last).div_(255.0)
