"""Published weight files that components read: their address, place on disk and checksum."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from retbench.file_digests import digest_file


def weights_root() -> Path:
    """Return the folder of published weights: `RETBENCH_WEIGHTS`, or `weights/` in the current folder."""
    return Path(os.environ.get("RETBENCH_WEIGHTS") or "weights")


class Weights(NamedTuple):
    """A published weight file; components read it and never download it.

    Attributes:
        file: the file name under `weights_root()`.
        url: the address of the published file.
        sha256: the first digits of the file's digest, at least eight. Empty if no digest is published; the user must
            then download the file, because no command can check it.
        license: the terms of use, in words.
    """

    file: str
    url: str
    sha256: str
    license: str

    @property
    def path(self) -> Path:
        """The path of the file on disk, whether it exists or not."""
        return weights_root() / self.file

    @property
    def manual_steps(self) -> str:
        """What the user must do to get a file without a published sha256."""
        return "download the file and put it there: its sha256 is not published, so that no command can check it"

    def problem(self) -> str | None:
        """Return the reason why the file cannot be used, or None: it is missing, or its digest is wrong."""
        if not self.path.is_file():
            return f"missing: expected {self.path}, published at {self.url}"
        digest = digest_file(self.path) if self.sha256 else ""
        if not digest.startswith(self.sha256):
            return f"not the published file: {self.path}: sha256 got {digest[:16]}, expected {self.sha256}; remove it"
        return None
