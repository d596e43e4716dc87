"""Published weights that a component starts from: where they come from, where they lie, how they are checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from retbench.canon import file_digest


def weights_root() -> Path:
    """Return the folder of downloaded weights: `RETBENCH_WEIGHTS`, or `weights/` in the current folder."""
    return Path(os.environ.get("RETBENCH_WEIGHTS") or "weights")


class Weights(NamedTuple):
    """A file that somebody published; a component reads it and never fetches it.

    Attributes:
        file: its name under `weights_root()`.
        address: where it is published.
        sha256: the first digits of its digest, eight or more; empty where nobody publishes one: such a file is fetched
            by its user, and never by a command that could not check it.
        license: under what terms, in words.
    """

    file: str
    address: str
    sha256: str
    license: str

    @property
    def path(self) -> Path:
        """Where it lies, or would."""
        return weights_root() / self.file

    @property
    def by_hand(self) -> str:
        """What a user does about a file without a published sha256."""
        return "fetch the file yourself and put it there: nobody publishes its sha256, so that no command can check it"

    def problem(self) -> str | None:
        """Return why it cannot be read, or None: it is not there, or its digest is not the published one."""
        if not self.path.is_file():
            return f"missing: expected {self.path}, published at {self.address}"
        digest = file_digest(self.path) if self.sha256 else ""
        if not digest.startswith(self.sha256):
            return f"not the published file: {self.path}: sha256 got {digest[:16]}, expected {self.sha256}; remove it"
        return None
