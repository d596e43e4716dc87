"""Scanned handwritten digits, the 1797 that come with scikit-learn."""

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

SIDE = 32
COUNT, QUERIES, TRAIN = 1797, 200, 1000
SCANS = "datasets/data/digits.csv.gz"
"""Where the package of scikit-learn keeps them."""


class Digits(Dataset):
    """Handwritten digits as 32 x 32 pictures, one class each; a real dataset that is always at hand.

    The scans are 8 x 8 with 17 gray levels; they are enlarged bilinearly and the gray is repeated in three channels.
    Training items are the first rows of the database.
    """

    name: ClassVar[str] = "digits"
    source: ClassVar[str] = "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, test part, UCI"

    def facts(self) -> Facts:
        return Facts(
            dataset=self.name,
            image_size=(SIDE, SIDE),
            classes=tuple("0123456789"),
            sizes={"train": TRAIN, "query": QUERIES, "database": COUNT - QUERIES},
        )

    def fingerprint(self) -> str:
        """Returns a digest of the options and of the scans that the installed scikit-learn holds."""
        return hashlib.sha256(f"{super().fingerprint()} {_scans_digest()}".encode()).hexdigest()

    def ids(self, split: Split) -> Sequence[str]:
        return [_id(scan) for scan in _order()[_rows(split)]]

    def labels(self, split: Split) -> Tensor:
        return _load().labels[_rows(split)].clone()

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        return _load().images[_rows(split)][torch.tensor(rows, dtype=torch.int64)]


class _Pictures(NamedTuple):
    images: Tensor  # uint8 (1797, 3, 32, 32), queries first, then the database
    labels: Tensor  # uint8 (1797, 10), in the same order


class _Scans(NamedTuple):
    gray: Tensor  # uint8 (1797, 8, 8), 0 to 16
    digits: Tensor  # int64 (1797,)


def _rows(split: Split) -> slice:
    return {
        "query": slice(0, QUERIES),
        "database": slice(QUERIES, COUNT),
        "train": slice(QUERIES, QUERIES + TRAIN),
    }[split]


def _id(scan: int) -> str:
    return f"digit-{scan:04d}"


@lru_cache(maxsize=1)
def _order() -> tuple[int, ...]:
    """Returns every scan's index, shuffled by the digest of its id: a shuffle that no library can change."""
    return tuple(sorted(range(COUNT), key=lambda scan: hashlib.sha256(_id(scan).encode()).digest()))


@lru_cache(maxsize=1)
def _scans() -> _Scans:
    """Return the scans in the file that scikit-learn ships: 64 gray levels and the digit in each line.

    It is read without importing scikit-learn, which takes longer than all the rest of planning a suite.
    """
    found = importlib.util.find_spec("sklearn")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0] if folders else "") / SCANS
    if not path.is_file():
        raise UserError(f"dataset digits: no such file: got {path}, expected the scans that scikit-learn brings")
    numbers = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.uint8))
    return _Scans(numbers[:, :-1].reshape(-1, 8, 8).contiguous(), numbers[:, -1].long())


@lru_cache(maxsize=1)
def _scans_digest() -> str:
    scans = _scans()
    return hashlib.sha256(scans.gray.numpy().tobytes() + scans.digits.to(torch.uint8).numpy().tobytes()).hexdigest()


@lru_cache(maxsize=1)
def _load() -> _Pictures:
    scans = _scans()
    order = torch.tensor(_order())
    # Whole gray levels weighted by 64ths, then scaled by 255/16: every number is exact in float32 on any machine.
    gray = interpolate(scans.gray[order, None].float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    images = gray.mul(255 / 16).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    return _Pictures(images, one_hot(scans.digits[order], 10).to(torch.uint8))
