"""The state of a file on disk: what was read from a file stays cached while its state is the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from retbench import UserError, digest_files


class FileState(NamedTuple):
    """The path, times, size and inode of a file or folder; a changed file has another state.

    A program can restore the time of modification, but not that of the inode (`changed`).
    """

    path: Path
    modified: int
    changed: int
    size: int
    inode: int


def read_file_state(path: Path) -> FileState:
    """Return the state of a file or folder; zeros for a path that does not exist."""
    try:
        status = path.stat()
    except OSError:
        return FileState(path, 0, 0, 0, 0)
    return FileState(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, remembered while it stays the same; raises UserError if it cannot be read."""
    try:
        return digest_files([path])[0]
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
