"""The training split as tensors."""

import pytest
import torch

from retbench.contracts import Dataset, TrainingData, unit_images
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")


def toy_training() -> TrainingData:
    dataset = ToyDataset()
    return TrainingData(dataset, dataset.facts(), CPU)


def test_gray_levels_are_divided_by_255() -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 3, 16, 16)
    images = unit_images(levels, CPU)
    assert images.dtype == torch.float32
    assert torch.equal(images, levels.float() / 255)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal((images * 255).round().to(torch.uint8), levels)


def test_the_input_images_are_not_modified() -> None:
    levels = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
    unit_images(levels, CPU)
    assert (levels == 200).all()


def test_no_images_give_an_empty_tensor() -> None:
    assert unit_images(torch.empty(0, 3, 4, 4, dtype=torch.uint8), CPU).shape == (0, 3, 4, 4)


def test_images_and_texts_have_the_order_of_the_rows() -> None:
    data = toy_training()
    assert len(data) == 20
    images = data.images([4, 1, 4])
    assert images.shape == (3, 3, *data.facts.image_size)
    assert torch.equal(images, data.images(range(len(data)))[[4, 1, 4]])
    assert torch.equal(data.texts([4, 1]), data.labels[[4, 1]].float())


def test_labels_are_read_only_once() -> None:
    data = toy_training()
    assert data.labels is data.labels
    assert torch.equal(data.labels, data.dataset.labels("train"))


def test_texts_of_a_dataset_without_texts_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyDataset, "texts", Dataset.texts)
    with pytest.raises(LookupError, match="dataset toy: it has no texts"):
        toy_training().texts([0])
