"""Stamps of files: what was read from a file, and its digest, is remembered while its stamp stays the same."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from retbench import UserError


class Stamp(NamedTuple):
    """What changes when a file or folder does: what was read from it is remembered while this stays the same."""

    path: Path
    modified: int
    size: int
    inode: int


def stamp(path: Path) -> Stamp:
    """Returns the stamp of a file or folder; of one that is not there, zeros."""
    try:
        facts = path.stat()
    except OSError:
        return Stamp(path, 0, 0, 0)
    return Stamp(path, facts.st_mtime_ns, facts.st_size, facts.st_ino)


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file, remembered while its stamp stays; raises UserError for one that cannot be read."""
    return _file_digest(stamp(path))


@lru_cache(maxsize=64)
def _file_digest(stamped: Stamp) -> str:
    try:
        with stamped.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{stamped.path}: it cannot be read: {error.strerror}") from None
