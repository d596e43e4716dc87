"""The training split of a dataset, as tensors on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from retbench.contracts.dataset import Dataset
from retbench.contracts.facts import Facts
from retbench.contracts.tensors import read_images, read_labels, read_texts


@dataclass(frozen=True)
class TrainingData:
    """Training images, labels, texts and cached features of one dataset on one device.

    Attributes:
        dataset: the dataset.
        facts: the dataset's facts; `bits` is set when a hasher, or anything that depends on one, is fitted.
        device: the device of the returned tensors.
        shards: features float32 (N_i, F) of consecutive rows from the hasher's `cached` part, mapped from the store
            without loading them; empty if there is no such part. Read them through `features`.
    """

    dataset: Dataset
    facts: Facts
    device: torch.device
    shards: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return self.facts.sizes["train"]

    @cached_property
    def labels(self) -> Tensor:
        """The training labels: multi-hot uint8 (N, C)."""
        return read_labels(self.dataset, "train", self.device)

    def images(self, rows: Sequence[int]) -> Tensor:
        """Return the training images at `rows`, in this order: float32 (B, 3, H, W) in [0, 1]."""
        return read_images(self.dataset, "train", rows, self.device)

    def texts(self, rows: Sequence[int]) -> Tensor:
        """Return the training texts at `rows`, in this order: float32 (B, T).

        Raises:
            LookupError: the dataset has no texts.
        """
        return read_texts(self.dataset, "train", rows, self.device)

    def features(self, rows: Sequence[int]) -> Tensor:
        """Return the stored features of the training images at `rows`, in this order: float32 (B, F).

        Raises:
            LookupError: the fitted hasher declares no `cached` part.
        """
        if not self.shards:
            raise LookupError("training data: no stored features: the fitted hasher declares no `cached` part")
        ends = torch.tensor([len(shard) for shard in self.shards]).cumsum(0)
        indices = torch.tensor(rows, dtype=torch.int64)
        features = torch.empty(len(indices), self.shards[0].shape[1])
        shard_indices = torch.bucketize(indices, ends, right=True)
        for shard_index in sorted(set(shard_indices.tolist())):
            shard, in_shard = self.shards[shard_index], shard_indices == shard_index
            features[in_shard] = shard[indices[in_shard] - (ends[shard_index] - len(shard))]
        return features.to(self.device)
