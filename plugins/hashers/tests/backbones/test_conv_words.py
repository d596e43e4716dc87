"""The backbone that is trained on texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.backbones.conv_words import ConvWords, standardize
from torch import Tensor

from retbench import Context, Noise, TrainingData
from retbench.testing import ToyDataset, check_component

TOY = ToyDataset(side=16, database=80)


class Unlabeled(ToyDataset):
    """A dataset that fails the test if its labels are read."""

    def labels(self, split: str) -> Tensor:  # type: ignore[override]  # the core has a narrower type of splits
        pytest.fail("labels were read")


def test_it_meets_the_contract() -> None:
    check_component(ConvWords(epochs=1))


def test_columns_are_standardized_and_a_constant_column_becomes_0() -> None:
    texts = torch.tensor([[0.0, 3.0, 1.0], [2.0, 3.0, 5.0]])
    assert standardize(texts).tolist() == [[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]


def test_it_learns_without_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    images = TOY.images("train", range(40))
    texts = TOY.texts("train", range(40))
    monkeypatch.setattr(Unlabeled, "images", lambda self, split, rows: images[list(rows)])
    monkeypatch.setattr(Unlabeled, "texts", lambda self, split, rows: texts[list(rows)])
    dataset = Unlabeled(side=16, database=80)
    curves: dict[str, list[float]] = {}
    context = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), record=curves.__setitem__)  # type: ignore[arg-type]  # only curves are recorded
    torch.manual_seed(0)
    ConvWords(epochs=12, batch_size=8).fit(TrainingData(dataset, dataset.facts(), torch.device("cpu")), context)
    assert curves["loss"][-1] < 0.2 * curves["loss"][0]


def test_a_dataset_without_texts_is_refused() -> None:
    facts = replace(TOY.facts(), text_width=0)
    assert ConvWords().supports(facts) == "needs texts: dataset toy has no texts; take one with texts"
    assert ConvWords().supports(TOY.facts()) is None
