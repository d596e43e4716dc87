"""Pairs held out of a cross-modal training, and their retrieval score."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from retbench import Context, TrainingData, sign
from retbench.metrics import average_precision, mean_average_precision, pack
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork

BLOCK = 1024
"""Rows that are encoded at once."""


class ValidationSplit(NamedTuple):
    """Training rows in two parts: those that are trained on, and queries that are held out.

    Attributes:
        data: the training split.
        trained: int64 (n,), ascending, on the CPU.
        queries: int64 (m,), ascending, on the CPU; may be empty.
    """

    data: TrainingData
    trained: Tensor
    queries: Tensor

    @classmethod
    def draw(cls, data: TrainingData, count: int, ctx: Context) -> ValidationSplit:
        """Return a random split with `count` queries; the same for the same seed."""
        order = torch.randperm(len(data), generator=ctx.noise.generator("validation"))
        return cls(data, order[count:].sort().values, order[:count].sort().values)

    def score(self, network: CrossModalNetwork, ctx: Context) -> float:
        """Return MAP of image against text plus MAP of text against image, 0 to 2, over all trained rows.

        It reads labels. `network` must be in eval mode.
        """
        with torch.no_grad(), ctx.autocast():
            query_images, query_texts = self._codes(network, self.queries)
            images, texts = self._codes(network, self.trained)
        labels = self.data.labels.cpu()
        both = labels[self.queries], labels[self.trained]
        bits = self.data.facts.bits
        text_precisions = average_precision(query_images, texts, *both, bits=bits)
        image_precisions = average_precision(query_texts, images, *both, bits=bits)
        return mean_average_precision(text_precisions) + mean_average_precision(image_precisions)

    def _codes(self, network: CrossModalNetwork, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return packed codes of the images at `rows`, and of their texts."""
        return _packed(rows, self.data.features, network.from_features), _packed(rows, self.data.texts, network.text)


def _packed(rows: Tensor, read: Callable[[list[int]], Tensor], encode: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([pack(sign(encode(read(block.tolist()))).cpu()) for block in torch.split(rows, BLOCK)])
