"""The 1797 scanned handwritten digits that scikit-learn ships."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from retbench import Dataset, Facts, Split, UserError

IMAGE_SIZE = 32
COUNT, QUERIES, TRAIN = 1797, 200, 1000
DIGITS_FILE = "datasets/data/digits.csv.gz"
"""Path of the scans inside the scikit-learn package."""


class Digits(Dataset):
    """Handwritten digits as 32 x 32 images, one class each: real data that is always installed.

    The scans are 8 x 8 with 17 gray levels; they are enlarged bilinearly and the gray is repeated in three channels.
    Training items are the first rows of the database.
    """

    name: ClassVar[str] = "digits"
    source: ClassVar[str] = "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, test part, UCI"

    def facts(self) -> Facts:
        return Facts(
            dataset=self.name,
            image_size=(IMAGE_SIZE, IMAGE_SIZE),
            classes=tuple("0123456789"),
            sizes={"train": TRAIN, "query": QUERIES, "database": COUNT - QUERIES},
        )

    def fingerprint(self) -> str:
        """Return a digest of the options and of the scans in the installed scikit-learn."""
        return hashlib.sha256(f"{super().fingerprint()} {_digest_scans()}".encode()).hexdigest()

    def ids(self, split: Split) -> Sequence[str]:
        return [_image_id(index) for index in _shuffled_indices()[_split_rows(split)]]

    def labels(self, split: Split) -> Tensor:
        return _load_images().labels[_split_rows(split)].clone()

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return _load_images().images[_split_rows(split)][torch.tensor(rows, dtype=torch.int64)]


class _Images(NamedTuple):
    images: Tensor  # uint8 (1797, 3, 32, 32), queries first, then the database
    labels: Tensor  # uint8 (1797, 10), in the same order


class _Scans(NamedTuple):
    gray: Tensor  # uint8 (1797, 8, 8), 0 to 16
    digits: Tensor  # int64 (1797,)


def _split_rows(split: Split) -> slice:
    return {
        "query": slice(0, QUERIES),
        "database": slice(QUERIES, COUNT),
        "train": slice(QUERIES, QUERIES + TRAIN),
    }[split]


def _image_id(index: int) -> str:
    return f"digit-{index:04d}"


@lru_cache(maxsize=1)
def _shuffled_indices() -> tuple[int, ...]:
    """Return the index of every scan, ordered by the digest of its id: no library update can change this shuffle."""
    return tuple(sorted(range(COUNT), key=lambda index: hashlib.sha256(_image_id(index).encode()).digest()))


@lru_cache(maxsize=1)
def _read_scans() -> _Scans:
    """Read the file that scikit-learn ships; a line holds the 64 gray levels of a scan and its digit.

    scikit-learn itself is not imported: that takes longer than all other work of planning a suite.
    """
    package = importlib.util.find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0] if folders else "") / DIGITS_FILE
    if not path.is_file():
        raise UserError(
            f"dataset digits: no such file: got {path}, expected the scans that scikit-learn ships; "
            "reinstall scikit-learn"
        )
    numbers = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.uint8))
    return _Scans(numbers[:, :-1].reshape(-1, 8, 8).contiguous(), numbers[:, -1].long())


@lru_cache(maxsize=1)
def _digest_scans() -> str:
    scans = _read_scans()
    return hashlib.sha256(scans.gray.numpy().tobytes() + scans.digits.to(torch.uint8).numpy().tobytes()).hexdigest()


@lru_cache(maxsize=1)
def _load_images() -> _Images:
    scans = _read_scans()
    order = torch.tensor(_shuffled_indices())
    # Integer gray levels weighted by 64ths, then scaled by 255/16: every number is exact in float32 on any machine.
    gray = interpolate(
        scans.gray[order, None].float(), size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False
    )
    images = gray.mul(255 / 16).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    return _Images(images, one_hot(scans.digits[order], 10).to(torch.uint8))
