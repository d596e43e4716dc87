"""The backbone that is trained on texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from retbench_hashers.backbones.conv_words import ConvWords, standardized
from torch import Tensor

from retbench import Context, Noise, TrainingData
from retbench.testing import ToyDataset, check_component

TOY = ToyDataset(side=16, database=80)


class Unlabeled(ToyDataset):
    """Whoever asks for its labels fails the test."""

    def labels(self, split: str) -> Tensor:  # type: ignore[override]  # the split's type is the core's own
        pytest.fail("labels were looked at")


def test_it_keeps_its_contract() -> None:
    check_component(ConvWords(epochs=1))


def test_columns_are_standardized_and_one_that_does_not_vary_becomes_0() -> None:
    texts = torch.tensor([[0.0, 3.0, 1.0], [2.0, 3.0, 5.0]])
    assert standardized(texts).tolist() == [[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]


def test_it_learns_without_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = TOY.images("train", range(40))
    texts = TOY.texts("train", range(40))
    monkeypatch.setattr(Unlabeled, "images", lambda self, split, rows: pictures[list(rows)])
    monkeypatch.setattr(Unlabeled, "texts", lambda self, split, rows: texts[list(rows)])
    dataset = Unlabeled(side=16, database=80)
    curves: dict[str, list[float]] = {}
    context = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), record=curves.__setitem__)  # type: ignore[arg-type]  # only curves come
    torch.manual_seed(0)
    ConvWords(epochs=12, batch_size=8).fit(TrainingData(dataset, dataset.facts(), torch.device("cpu")), context)
    assert curves["loss"][-1] < 0.2 * curves["loss"][0]


def test_a_dataset_without_texts_is_not_supported() -> None:
    facts = replace(TOY.facts(), text_width=0)
    assert ConvWords().supports(facts) == "it learns from texts, and dataset toy has none"
    assert ConvWords().supports(TOY.facts()) is None
