"""A linear hasher, whose gradients are known in closed form, and queries to attack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from retbench import Batch, Facts, HashNetwork, Knowledge, sign

BITS, SIDE, ITEMS = 8, 6, 30


class LinearHasher(HashNetwork):
    """Logits W x of the flattened pixels."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(BITS, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight, requires_grad=False)

    def image(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


@pytest.fixture
def smooth_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace ReLU by GELU in networks, to compare two trainings that differ by rounding.

    With ReLU, an input within rounding of 0 may pass in one training and not in the other, and the two diverge.
    """
    monkeypatch.setattr(nn, "ReLU", nn.GELU)
    monkeypatch.setattr(nn, "LeakyReLU", lambda slope: nn.GELU())


@pytest.fixture
def knowledge() -> Knowledge:
    """The knowledge of a targeted attack on the linear hasher; the database has three distinct label vectors."""
    labels = torch.eye(3, dtype=torch.uint8)[torch.arange(ITEMS) % 3]
    codes = sign(torch.randn(ITEMS, BITS, generator=torch.Generator().manual_seed(1)))
    sizes = {"train": 1, "query": 8, "database": ITEMS}
    facts = Facts("linear", (SIDE, SIDE), ("a", "b", "c"), sizes, bits=BITS)
    return Knowledge(LinearHasher(), facts, None, {"database_labels": labels, "database_codes": codes})


@pytest.fixture
def queries(knowledge: Knowledge) -> Callable[[int], Batch]:
    """Return a function that makes a batch of queries; the target of each is the class after its own."""

    def make(count: int) -> Batch:
        images = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))[:count]
        labels = torch.eye(3, dtype=torch.uint8)
        rows = torch.arange(count)
        ids = tuple(f"query-{row}" for row in range(count))
        return Batch(ids, images, labels[rows % 3], labels[(rows + 1) % 3], (rows + 1) % 3)

    return make
