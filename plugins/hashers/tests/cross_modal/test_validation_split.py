"""Validation pairs held out of a training, and their score."""

from __future__ import annotations

import pytest
import torch
from retbench_hashers.cross_modal.cross_modal_hasher import CrossModalNetwork
from retbench_hashers.cross_modal.validation_split import ValidationSplit
from torch import Tensor, nn

from retbench import Context, Noise, TrainingData, relax
from retbench.testing import ToyDataset

CPU = torch.device("cpu")
BITS = 8


def context(seed: int = 0) -> Context:
    return Context(CPU, "float32", Noise(seed, ("fit",)))


def training_data(features: Tensor | None = None) -> TrainingData:
    from dataclasses import replace

    dataset = ToyDataset(database=60)
    facts = replace(dataset.facts(), bits=BITS)
    features = dataset.labels("train").float() if features is None else features
    return TrainingData(dataset, facts, CPU, (features[:13], features[13:]))


def linear(weight: Tensor) -> nn.Linear:
    head = nn.Linear(3, BITS, bias=False).requires_grad_(False)
    head.weight.copy_(weight)
    return head


def network(images: Tensor, texts: Tensor) -> CrossModalNetwork:
    return CrossModalNetwork(nn.Identity(), linear(images), linear(texts), 3, BITS).eval()


def random_weight(seed: int) -> Tensor:
    return torch.randn(BITS, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [0, 1, 10])
def test_every_row_is_either_a_training_row_or_a_query(count: int) -> None:
    split = ValidationSplit.draw(training_data(), count, context())
    assert len(split.query_rows) == count
    assert torch.cat([split.training_rows, split.query_rows]).sort().values.tolist() == list(range(30))


def test_the_draw_depends_on_the_seed() -> None:
    first, same, other = (ValidationSplit.draw(training_data(), 10, context(seed)).query_rows for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def average_precision_of(query: Tensor, items: Tensor, relevant: Tensor) -> float:
    """Return the average precision of one query by its definition, ties in the order of the items."""
    distances = (query != items).sum(dim=1)
    ranked = relevant[torch.argsort(distances, stable=True)]
    precisions = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
    return float(precisions[ranked].mean()) if ranked.any() else 0.0


def test_the_score_is_the_sum_of_map_in_both_directions() -> None:
    data = training_data()
    split = ValidationSplit.draw(data, 6, context())
    net = network(random_weight(0), random_weight(1))
    rows = list(range(30))
    codes = relax(net.from_features(data.features(rows))) >= 0, relax(net.text(data.texts(rows))) >= 0
    relevant = data.labels.float() @ data.labels.float().T > 0
    expected = 0.0
    for query in split.query_rows.tolist():
        for query_modality, item_modality in ((0, 1), (1, 0)):
            items = codes[item_modality][split.training_rows]
            expected += (
                average_precision_of(codes[query_modality][query], items, relevant[query, split.training_rows]) / 6
            )
    assert split.score(net, context()) == pytest.approx(expected)


def test_opposite_heads_score_lower_than_equal_heads() -> None:
    split = ValidationSplit.draw(training_data(), 10, context())
    same, opposite = (split.score(network(random_weight(0), sign * random_weight(0)), context()) for sign in (1, -1))
    assert 0 < opposite < same <= 2
