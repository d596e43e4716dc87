"""Labels, images and texts of a dataset are checked and copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from retbench.contracts import TrainingData
from retbench.contracts.facts import Split
from retbench.contracts.tensors import read_ids, read_image_files, read_images, read_labels, read_texts
from retbench.errors import ContractBreach
from retbench.stages import draw_queries
from retbench.testing.toys import ToyDataset

CPU = torch.device("cpu")
TOY = ToyDataset()


class ChangedDataset(ToyDataset):
    """Returns the toy's values after a change by the test."""

    change: ClassVar[Callable[[Tensor], Any]]

    def labels(self, split: Split) -> Any:
        return type(self).change(super().labels(split))

    def images(self, split: Split, rows: Sequence[int]) -> Any:
        return type(self).change(ToyDataset().images(split, rows))

    def texts(self, split: Split, rows: Sequence[int]) -> Any:
        return type(self).change(ToyDataset().texts(split, rows))


class ListedDataset(ToyDataset):
    """Returns the values that the test sets as ids and files."""

    values: ClassVar[Sequence[Any]]

    def ids(self, split: Split) -> Any:
        return self.values

    def image_files(self, split: Split) -> Any:
        return self.values


class NamedTensor(Tensor):
    """A tensor of another class."""


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Tensor], Any]], ChangedDataset]:
    def make(function: Callable[[Tensor], Any]) -> ChangedDataset:
        monkeypatch.setattr(ChangedDataset, "change", staticmethod(function), raising=False)
        return ChangedDataset()

    return make


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda labels: labels.float(), "wrong dtype of labels of train: got torch.float32, expected torch.uint8"),
        (lambda labels: labels * 2, "wrong labels of train: got the value 2, expected 0 or 1"),
        (lambda labels: labels[:-1], r"wrong shape of labels of train: got \(19, 3\), expected \(20, 3\)"),
        (lambda labels: labels.argmax(1), "wrong dtype of labels of train: got torch.int64"),
        (lambda labels: labels.to_sparse(), "wrong layout of labels of train: got torch.sparse_coo"),
        (lambda labels: labels.numpy(), "wrong type of labels of train: got ndarray, expected a tensor"),
        (lambda labels: labels.as_subclass(NamedTensor), "wrong type of labels of train: got NamedTensor"),
    ],
    ids=["float", "two", "rows", "indices", "sparse", "numpy", "subclass"],
)
def test_wrong_labels_are_a_breach_of_the_dataset(change: Any, function: Any, problem: str) -> None:
    dataset = change(function)
    with pytest.raises(ContractBreach, match=rf"^dataset toy \(package .*\): {problem}"):
        read_labels(dataset, "train")
    with pytest.raises(ContractBreach, match=problem):
        _ = TrainingData(dataset, TOY.facts(), CPU).labels


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda images: images / 255, "wrong dtype of images of query: got torch.float32, expected torch.uint8"),
        (lambda images: images[:1], r"got \(1, 3, 12, 12\), expected \(2, 3, 12, 12\)"),
        (lambda images: images[:, :1], r"got \(2, 1, 12, 12\), expected \(2, 3, 12, 12\)"),
        (lambda images: images[..., :8], r"got \(2, 3, 12, 8\), expected \(2, 3, 12, 12\)"),
        (lambda images: images.to("meta"), "images of query on another device: got meta, expected cpu"),
    ],
    ids=["float", "rows", "gray", "size", "device"],
)
def test_wrong_images_are_a_breach_of_the_dataset(change: Any, function: Any, problem: str) -> None:
    dataset = change(function)
    with pytest.raises(ContractBreach, match=problem):
        read_images(dataset, "query", [0, 1], CPU)
    with pytest.raises(ContractBreach, match=problem):
        draw_queries(dataset, 2).images(range(2), CPU)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda texts: texts.double(), "wrong dtype of texts of train: got torch.float64, expected torch.float32"),
        (lambda texts: texts[:, :2], r"wrong shape of texts of train: got \(2, 2\), expected \(2, 3\)"),
        (lambda texts: texts / 0, "NaN or infinity in the texts of train"),
    ],
    ids=["double", "width", "nan"],
)
def test_wrong_texts_are_a_breach_of_the_dataset(change: Any, function: Any, problem: str) -> None:
    dataset = change(function)
    with pytest.raises(ContractBreach, match=problem):
        read_texts(dataset, "train", [0, 1], CPU)
    with pytest.raises(ContractBreach, match=problem):
        TrainingData(dataset, TOY.facts(), CPU).texts([0, 1])


def test_the_lack_of_texts_is_no_breach() -> None:
    class WithoutTexts(ToyDataset):
        def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
            raise LookupError("dataset toy: it has no texts")

    with pytest.raises(LookupError, match="it has no texts"):
        read_texts(WithoutTexts(), "train", [0], CPU)


@lru_cache(maxsize=8)
def cached(split: Split, name: str) -> Tensor:
    """Return a tensor that a dataset keeps and returns again."""
    rows = range(TOY.facts().sizes[split])
    return {"labels": TOY.labels(split), "images": TOY.images(split, rows), "texts": TOY.texts(split, rows)}[name]


class CachingDataset(ToyDataset):
    """Returns the tensors that it keeps."""

    def labels(self, split: Split) -> Tensor:
        return cached(split, "labels")

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return cached(split, "images")[: len(rows)]

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return cached(split, "texts")[: len(rows)]


def test_a_change_of_what_was_read_does_not_reach_the_dataset() -> None:
    dataset, queries = CachingDataset(), draw_queries(CachingDataset(), 4)
    data = TrainingData(dataset, dataset.facts(), CPU)
    handed_out = [
        data.labels,
        data.images([0, 1]),
        data.texts([0, 1]),
        queries.labels(),
        queries.images(range(2), CPU),
        queries.texts(range(2), CPU),
        read_labels(dataset, "database"),
        read_texts(dataset, "database", [0, 1], CPU),
    ]
    for tensor in handed_out:
        tensor.data.numpy()[:] = 1
    for split in ("train", "query", "database"):
        assert torch.equal(dataset.labels(split), TOY.labels(split))
        assert torch.equal(dataset.images(split, [0, 1]), TOY.images(split, [0, 1]))
        assert torch.equal(dataset.texts(split, [0, 1]), TOY.texts(split, [0, 1]))


def test_no_rows_and_no_items_are_accepted() -> None:
    assert read_images(TOY, "query", [], CPU).shape == (0, 3, 12, 12)
    assert read_texts(TOY, "query", [], CPU).shape == (0, 3)
    assert read_labels(ToyDataset(queries=0), "query").shape == (0, 3)


@pytest.mark.parametrize("wrong", [0, None, b"a", 7], ids=["zero", "none", "bytes", "number"])
def test_values_of_the_wrong_kind_are_a_breach_of_the_dataset(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = TOY.facts().sizes["query"]
    monkeypatch.setattr(ListedDataset, "values", ["a"] * (rows - 1) + [wrong], raising=False)
    with pytest.raises(ContractBreach, match=rf"wrong ids of query: got {wrong!r} .*, expected str objects"):
        read_ids(ListedDataset(), "query")
    with pytest.raises(ContractBreach, match=r"wrong image_files of query: got 'a' .*, expected ImageFile objects"):
        read_image_files(ListedDataset(), "query")
    monkeypatch.setattr(ListedDataset, "values", ["a"] * (rows - 1))
    with pytest.raises(ContractBreach, match=rf"wrong number of ids of query: got {rows - 1}, expected {rows}"):
        read_ids(ListedDataset(), "query")


def test_a_dataset_that_changes_a_setting_is_named(change: Any) -> None:
    def change_threads(labels: Tensor) -> Tensor:
        torch.set_num_threads(before + 1)
        return labels

    before, dataset = torch.get_num_threads(), change(change_threads)
    with pytest.raises(ContractBreach, match=r"^dataset toy .*: it changed torch's number of threads and did not"):
        read_labels(dataset, "train")
    assert torch.get_num_threads() == before
