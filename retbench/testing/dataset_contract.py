"""The contract checks of datasets."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence

import torch
from torch import Tensor

from retbench.contracts import Dataset, ImageFile
from retbench.contracts.facts import SPLITS, Split
from retbench.contracts.tensors import read_ids, read_image_files, read_images, read_labels, read_texts
from retbench.testing.component_setup import CPU, require


def check_dataset(dataset: Dataset) -> None:
    """Raise ContractBreach unless ids, labels, images and texts of the three splits are consistent."""
    for split in SPLITS:
        read_labels(dataset, split)
        _check_files(dataset, split)
        _check_images(dataset, split, [0, len(read_ids(dataset, split)) - 1, 0])
    ids = dataset.ids("query")
    require(dataset, len(set(ids)) == len(ids), "query ids must be unique")
    require(dataset, not set(ids) & set(dataset.ids("database")), "a query must not be in the database")
    for split in SPLITS:
        _check_ownership(dataset, split)
    require(dataset, dataset.fingerprint() == dataset.fingerprint(), "the fingerprint must be the same at every call")


def _check_files(dataset: Dataset, split: Split) -> None:
    """Raise ContractBreach unless the images are no files, or each row has a file, and rows of one id the same."""
    if (files := read_image_files(dataset, split)) is None:
        return
    known: dict[str, ImageFile] = {}
    for name, file in zip(read_ids(dataset, split), files, strict=True):
        first = known.setdefault(name, file)
        require(dataset, first == file, f"{split}: image_files: {name} has two files: got {first} and {file}")


def _check_ownership(dataset: Dataset, split: Split) -> None:
    """Raise ContractBreach if a caller that changes what it got changes what the dataset returns next."""
    ids = dataset.ids(split)
    if isinstance(ids, MutableSequence):
        known = tuple(ids)
        ids.reverse()
        same = tuple(dataset.ids(split)) == known
        require(dataset, same, f"{split}: ids change if a caller changes a list that it got: return a copy or a tuple")
    reads: dict[str, Callable[[], Tensor]] = {
        "labels": lambda: dataset.labels(split),
        "images": lambda: dataset.images(split, [0, 1]),
    }
    if dataset.facts().text_width:
        read_texts(dataset, split, [0, 1], CPU)
        reads["texts"] = lambda: dataset.texts(split, [0, 1])
    for name, read in reads.items():
        before, returned = read().clone(), read()
        returned.add_(1)
        same = torch.equal(read(), before)
        require(dataset, same, f"{split}: {name} change if a caller changes a tensor that it got: return a copy")


def _check_images(dataset: Dataset, split: Split, rows: list[int]) -> None:
    images = read_images(dataset, split, rows, CPU)
    singles = torch.cat([read_images(dataset, split, [row], CPU) for row in rows])
    require(dataset, torch.equal(images, singles), "an image must not depend on the other rows of the call")
    read_images(dataset, split, [], CPU)
