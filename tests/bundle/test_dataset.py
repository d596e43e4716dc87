"""The labels and query ids of a bundle as a dataset."""

from __future__ import annotations

import pytest
import torch

from retbench.bundle.dataset import BundledDataset, Labels
from retbench.bundle.records import LabelsRecord
from retbench.contracts import Context, Noise, TargetRule
from retbench.stages import DrawTargets, draw_queries
from retbench.testing.toys import ToyDataset

TOY = ToyDataset()


@pytest.fixture
def bundled() -> BundledDataset:
    record = LabelsRecord(
        dataset="toy",
        fingerprint=TOY.fingerprint(),
        classes=list(TOY.facts().classes),
        queries=list(TOY.ids("query")),
    )
    return BundledDataset.of(Labels(record, TOY.labels("query"), TOY.labels("database")))


def test_it_draws_the_same_queries_as_the_original_dataset(bundled: BundledDataset) -> None:
    for count in (3, "all"):
        assert draw_queries(bundled, count).key == draw_queries(TOY, count).key
        assert draw_queries(bundled, count).rows == draw_queries(TOY, count).rows


@pytest.mark.parametrize("rule", ["uniform", "different", "zero-overlap", "database-item"])
def test_it_draws_the_same_targets_as_the_original_dataset(bundled: BundledDataset, rule: str) -> None:
    draws = [DrawTargets(dataset, TargetRule(rule=rule, seed=3)) for dataset in (bundled, TOY)]
    assert draws[0].key == draws[1].key
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ()))
    drawn, expected = (draw.run(lambda key: pytest.fail(key), ctx) for draw in draws)
    assert drawn.summary == expected.summary
    assert all(torch.equal(drawn.tensors[name], expected.tensors[name]) for name in expected.tensors)


def test_it_has_no_images_no_training_labels_and_no_database_ids(bundled: BundledDataset) -> None:
    with pytest.raises(LookupError, match="no images"):
        bundled.images("query", [0])
    with pytest.raises(LookupError, match="no labels of split train"):
        bundled.labels("train")
    with pytest.raises(LookupError, match="no ids of split database"):
        bundled.ids("database")
