"""Published weights that a component starts from: where they come from, where they lie, how they are checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


def weights_root() -> Path:
    """Returns the folder of downloaded weights: `RETBENCH_WEIGHTS`, or `weights/` in the current folder."""
    return Path(os.environ.get("RETBENCH_WEIGHTS") or "weights")


class Weights(NamedTuple):
    """A file that somebody published; a component reads it and never fetches it.

    Attributes:
        file: its name under `weights_root()`.
        address: where it is published.
        sha256: the first digits of its digest, eight or more.
        licence: under what terms, in words.
    """

    file: str
    address: str
    sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where it lies, or would."""
        return weights_root() / self.file
