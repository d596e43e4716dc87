"""Validation pairs held out of a cross-modal training, and their retrieval score."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from retbench import Context, TrainingData, sign
from retbench.metrics import average_precision, mean_average_precision, pack
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork

BLOCK = 1024
"""Number of rows encoded at once."""


class ValidationSplit(NamedTuple):
    """A training split divided into rows to train on and validation queries.

    Attributes:
        data: the training split.
        training_rows: int64 (n,), ascending, on the CPU.
        query_rows: int64 (m,), ascending, on the CPU; may be empty.
    """

    data: TrainingData
    training_rows: Tensor
    query_rows: Tensor

    @classmethod
    def draw(cls, data: TrainingData, count: int, ctx: Context) -> ValidationSplit:
        """Return a random split with `count` queries; it depends on the seed of `ctx`."""
        order = torch.randperm(len(data), generator=ctx.noise.generator("validation"))
        return cls(data, order[count:].sort().values, order[:count].sort().values)

    def score(self, network: CrossModalNetwork, ctx: Context) -> float:
        """Return MAP of image against text plus MAP of text against image, 0 to 2, over all training rows.

        The score depends on labels. `network` must be in eval mode.
        """
        with torch.no_grad(), ctx.autocast():
            query_images, query_texts = self._encode_pairs(network, self.query_rows)
            images, texts = self._encode_pairs(network, self.training_rows)
        labels = self.data.labels.cpu()
        label_vectors = labels[self.query_rows], labels[self.training_rows]
        bits = self.data.facts.bits
        text_precisions = average_precision(query_images, texts, *label_vectors, bits=bits)
        image_precisions = average_precision(query_texts, images, *label_vectors, bits=bits)
        return mean_average_precision(text_precisions) + mean_average_precision(image_precisions)

    def _encode_pairs(self, network: CrossModalNetwork, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the packed codes of the images and of the texts at `rows`."""
        return _encode_rows(rows, self.data.features, network.from_features), _encode_rows(
            rows, self.data.texts, network.text
        )


def _encode_rows(rows: Tensor, read: Callable[[list[int]], Tensor], encode: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([pack(sign(encode(read(block.tolist()))).cpu()) for block in torch.split(rows, BLOCK)])
