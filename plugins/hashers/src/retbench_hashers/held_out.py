"""Pairs held out of a cross-modal training, and how well they are retrieved."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from retbench import Context, TrainingData, sign
from retbench.metrics import average_precision, mean_average_precision, pack
from retbench_hashers.cross_modal_network import CrossModalNetwork

BLOCK = 1024
"""Rows encoded at once."""


class HeldOut(NamedTuple):
    """Training rows in two parts: those that are trained on, and queries that a training never sees.

    Attributes:
        data: where the rows are.
        trained: int64 (n,), ascending, on the CPU.
        queries: int64 (m,), ascending, on the CPU; may be empty.
    """

    data: TrainingData
    trained: Tensor
    queries: Tensor

    @classmethod
    def draw(cls, data: TrainingData, count: int, ctx: Context) -> HeldOut:
        """Returns the split with `count` queries, the same for every call with one seed."""
        order = torch.randperm(len(data), generator=ctx.noise.generator("validation"))
        return cls(data, order[count:].sort().values, order[:count].sort().values)

    def score(self, network: CrossModalNetwork, ctx: Context) -> float:
        """Returns MAP of image against text plus MAP of text against image, 0 to 2, over all trained rows.

        It looks at labels. `network` must be in eval mode.
        """
        with torch.no_grad(), ctx.autocast():
            query_images, query_texts = self._codes(network, self.queries)
            images, texts = self._codes(network, self.trained)
        labels = self.data.labels.cpu()
        both = labels[self.queries], labels[self.trained]
        bits = self.data.facts.bits
        across = average_precision(query_images, texts, *both, bits=bits)
        back = average_precision(query_texts, images, *both, bits=bits)
        return mean_average_precision(across) + mean_average_precision(back)

    def _codes(self, network: CrossModalNetwork, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns packed codes of the images at `rows`, and of their texts."""
        return _packed(rows, self.data.features, network.from_features), _packed(rows, self.data.texts, network.text)


def _packed(rows: Tensor, read: Callable[[list[int]], Tensor], encode: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([pack(sign(encode(read(block.tolist()))).cpu()) for block in torch.split(rows, BLOCK)])
