"""Read ids, labels, files, images and texts of a dataset: all are checked, and share no memory with the dataset.

A dataset may keep what it returns and return it again, so that a component that changes a label in place would change
it for all later steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from retbench.contracts.dataset import Dataset, ImageFile
from retbench.contracts.facts import Split
from retbench.contracts.tensors.returned import check_shape, check_tensor, contract_breach
from retbench.contracts.tensors.settings import keep_settings

T = TypeVar("T")
_CPU = torch.device("cpu")


def read_ids(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """Return the ids of a split.

    Raises:
        ContractBreach: the dataset returned something else than a text for each row.
    """
    with keep_settings(dataset):
        ids = dataset.ids(split)
    return _check_rows(ids, str, dataset, split, "ids")


def read_image_files(dataset: Dataset, split: Split) -> tuple[ImageFile, ...] | None:
    """Return the files of a split's images, or None if they are no files.

    Raises:
        ContractBreach: the dataset returned something else than an ImageFile for each row.
    """
    with keep_settings(dataset):
        files = dataset.image_files(split)
    return None if files is None else _check_rows(files, ImageFile, dataset, split, "image_files")


def read_labels(dataset: Dataset, split: Split, device: torch.device = _CPU) -> Tensor:
    """Return a copy of the labels of a split on `device`: multi-hot uint8 (N, C).

    Raises:
        ContractBreach: the dataset returned something else.
    """
    what, facts = f"labels of {split}", dataset.facts()
    with keep_settings(dataset):
        found: object = dataset.labels(split)
    labels = check_tensor(found, dataset, what, (torch.uint8,), _CPU)
    check_shape(labels, dataset, what, (facts.sizes[split], len(facts.classes)))
    if labels.numel() and (largest := int(labels.max())) > 1:
        raise contract_breach(dataset, f"wrong {what}: got the value {largest}, expected 0 or 1")
    return labels.to(device, copy=True)


def read_images(dataset: Dataset, split: Split, rows: Sequence[int], device: torch.device) -> Tensor:
    """Return the images at `rows` of a split, in this order: float32 (B, 3, H, W) in [0, 1], as `unit_images` does.

    Raises:
        ContractBreach: the dataset returned something else than uint8 (B, 3, H, W) of its image size.
    """
    what = f"images of {split}"
    with keep_settings(dataset):
        found: object = dataset.images(split, rows)
    images = check_tensor(found, dataset, what, (torch.uint8,), _CPU)
    check_shape(images, dataset, what, (len(rows), 3, *dataset.facts().image_size))
    return unit_images(images, device)


def read_texts(dataset: Dataset, split: Split, rows: Sequence[int], device: torch.device) -> Tensor:
    """Return a copy of the texts at `rows` of a split, in this order, on `device`: float32 (B, T).

    Raises:
        ContractBreach: the dataset returned something else.
        LookupError: the dataset has no texts.
    """
    what = f"texts of {split}"
    with keep_settings(dataset):
        found: object = dataset.texts(split, rows)
    texts = check_tensor(found, dataset, what, (torch.float32,), _CPU)
    check_shape(texts, dataset, what, (len(rows), dataset.facts().text_width))
    if not torch.isfinite(texts).all():
        raise contract_breach(dataset, f"NaN or infinity in the {what}")
    return texts.to(device, copy=True)


def unit_images(images: Tensor, device: torch.device) -> Tensor:
    """Return images on `device` as float32 (B, 3, H, W) in [0, 1], in channels-last memory format.

    Args:
        images: uint8 (B, 3, H, W); they are not modified.
        device: the device of the result.
    """
    return images.to(device).to(torch.float32, memory_format=torch.channels_last).div_(255.0)


def _check_rows(values: Sequence[T], kind: type[T], dataset: Dataset, split: Split, what: str) -> tuple[T, ...]:
    """Return the values of all rows of a split after checking their number and types."""
    checked, rows = tuple(values), dataset.facts().sizes[split]
    if len(checked) != rows:
        raise contract_breach(dataset, f"wrong number of {what} of {split}: got {len(checked)}, expected {rows}")
    if wrong := [value for value in checked if not isinstance(value, kind)]:
        got = f"{wrong[0]!r} ({type(wrong[0]).__name__})"
        raise contract_breach(dataset, f"wrong {what} of {split}: got {got}, expected {kind.__name__} objects")
    return checked
