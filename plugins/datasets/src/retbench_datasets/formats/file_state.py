"""The state of a file on disk: what was read from a file stays cached while its state is the same."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from retbench import UserError


class FileState(NamedTuple):
    """The path, modification time, size and inode of a file or folder; a changed file has another state."""

    path: Path
    modified: int
    size: int
    inode: int


def read_file_state(path: Path) -> FileState:
    """Return the state of a file or folder; zeros for a path that does not exist."""
    try:
        status = path.stat()
    except OSError:
        return FileState(path, 0, 0, 0)
    return FileState(path, status.st_mtime_ns, status.st_size, status.st_ino)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, cached while its state is the same; raises UserError if it cannot be read."""
    return _file_digest(read_file_state(path))


@lru_cache(maxsize=64)
def _file_digest(state: FileState) -> str:
    try:
        with state.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{state.path}: it cannot be read: {error.strerror}") from None
