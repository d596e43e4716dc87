"""The contract checks of datasets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from retbench.contracts import Dataset
from retbench.contracts.facts import SPLITS, Split
from retbench.testing.component_setup import require


def check_dataset(dataset: Dataset) -> None:
    """Raise ContractBreach unless ids, labels, images and texts of the three splits are consistent."""
    facts = dataset.facts()
    for split in SPLITS:
        ids, labels = dataset.ids(split), dataset.labels(split)
        shape = (facts.sizes[split], len(facts.classes))
        require(dataset, len(ids) == facts.sizes[split], f"{split}: got {len(ids)} ids, expected {facts.sizes[split]}")
        require(dataset, tuple(labels.shape) == shape, f"{split}: labels: got {tuple(labels.shape)}, expected {shape}")
        require(dataset, labels.dtype == torch.uint8 and int(labels.max()) <= 1, f"{split}: labels must be 0/1 uint8")
        _check_images(dataset, split, [0, len(ids) - 1, 0])
    ids = dataset.ids("query")
    require(dataset, len(set(ids)) == len(ids), "query ids must be unique")
    require(dataset, not set(ids) & set(dataset.ids("database")), "a query must not be in the database")
    for split in SPLITS:
        _check_ownership(dataset, split)
    require(dataset, dataset.fingerprint() == dataset.fingerprint(), "the fingerprint must be the same at every call")
    if facts.text_width:
        texts = dataset.texts("query", [0, 1])
        require(
            dataset,
            tuple(texts.shape) == (2, facts.text_width),
            f"texts: got {tuple(texts.shape)}, expected (2, {facts.text_width})",
        )


def _check_ownership(dataset: Dataset, split: Split) -> None:
    """Raise ContractBreach if a change of a returned tensor changes what the dataset returns next."""
    reads: dict[str, Callable[[], Tensor]] = {
        "labels": lambda: dataset.labels(split),
        "images": lambda: dataset.images(split, [0, 1]),
    }
    if dataset.facts().text_width:
        reads["texts"] = lambda: dataset.texts(split, [0, 1])
    for name, read in reads.items():
        before, returned = read().clone(), read()
        returned.add_(1)
        same = torch.equal(read(), before)
        require(dataset, same, f"{split}: {name} change if a caller changes a tensor that it got: return a copy")


def _check_images(dataset: Dataset, split: Split, rows: list[int]) -> None:
    images = dataset.images(split, rows)
    shape = (len(rows), 3, *dataset.facts().image_size)
    require(dataset, tuple(images.shape) == shape, f"images: got {tuple(images.shape)}, expected {shape}")
    require(dataset, images.dtype == torch.uint8, f"images: got {images.dtype}, expected torch.uint8")
    singles = torch.cat([dataset.images(split, [row]) for row in rows])
    require(dataset, torch.equal(images, singles), "an image must not depend on the other rows of the call")
    require(dataset, tuple(dataset.images(split, []).shape) == (0, *shape[1:]), "no rows must give no images")
