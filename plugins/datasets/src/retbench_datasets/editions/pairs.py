"""Pictures with labels and texts, as a cross-modal source lists them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pairs(NamedTuple):
    """Pictures with labels and a text each, in the order of their source.

    `remarks` say what a reader of numbers made with them must know of the files that they came from; no paths of this
    machine stand in them, because they are printed under tables.
    """

    names: tuple[str, ...]  # picture paths below the data set's folder, unique
    labels: NDArray[np.uint8]  # (N, C), multi-hot
    texts: NDArray[Any]  # (N, T), uint8 or float32, maybe a memmap
    remarks: tuple[str, ...] = ()
