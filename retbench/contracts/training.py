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
        shards: float32 (N_i, F), the features of consecutive rows, by the part that a hasher says is `cached`; empty
            without one. They are mapped from the store, not read: `features` touches the rows it is asked for.
    """

    dataset: Dataset
    facts: Facts
    device: torch.device
    shards: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return self.facts.sizes["train"]

    @cached_property
    def labels(self) -> Tensor:
        """uint8 (N, C), multi-hot."""
        return self.dataset.labels("train").to(self.device)

    def images(self, rows: Sequence[int]) -> Tensor:
        """Return float32 (B, 3, H, W) in [0, 1], B the number of `rows`."""
        return unit_images(self.dataset.images("train", rows), self.device)

    def texts(self, rows: Sequence[int]) -> Tensor:
        """Return float32 (B, T); raises LookupError for a dataset without texts."""
        return self.dataset.texts("train", rows).to(self.device)

    def features(self, rows: Sequence[int]) -> Tensor:
        """Return float32 (B, F), the stored features of the images at `rows`, in their order.

        Raises:
            LookupError: the hasher that is fitted declares no `cached` part.
        """
        if not self.shards:
            raise LookupError("training data: it holds features for a hasher with a `cached` part alone")
        ends = torch.tensor([len(shard) for shard in self.shards]).cumsum(0)
        wanted = torch.tensor(rows, dtype=torch.int64)
        found = torch.empty(len(wanted), self.shards[0].shape[1])
        where = torch.bucketize(wanted, ends, right=True)
        for index in sorted(set(where.tolist())):
            chosen = where == index
            found[chosen] = self.shards[index][wanted[chosen] - (ends[index] - len(self.shards[index]))]
        return found.to(self.device)


def unit_images(images: Tensor, device: torch.device) -> Tensor:
    """Return uint8 `images` (B, 3, H, W) as float32 in [0, 1] on `device`, channels last in memory."""
    return images.to(device).to(torch.float32, memory_format=torch.channels_last).div_(255.0)
