"""Writes that are whole or absent, whatever happens to the process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retbench.errors import StoreUnwritable, option_name

_MENDABLE = {
    errno.ENOSPC: "the disk is full; free some space (`retbench gc` removes what no suite names) and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "it is read-only; choose another with {store}",
    errno.EACCES: "no permission to write; choose another with {store}",
    errno.EPERM: "no permission to write; choose another with {store}",
    errno.ENOTDIR: "it is not a folder; choose another with {store}",
    errno.EEXIST: "it is not a folder; choose another with {store}",
}


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turns what the disk refuses into StoreUnwritable with what to do; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        problem = _MENDABLE[error.errno].format(store=option_name("store", "DIR"))
        raise StoreUnwritable(f"store {root}: {problem}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write and flushes a file to the disk itself."""
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a file so that a reader sees the old bytes or the new ones, never a mixture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_file(temporary, data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Appends a line to a file in one write, on a line of its own even where the last one was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 1, 0))
        cut = stream.read(1) not in (b"", b"\n")
        stream.write(b"\n" * cut + line + b"\n")


def remove_folder(folder: Path, aside: Path) -> None:
    """Remove a folder so that a reader sees all of it or nothing; `aside` is an empty folder, and goes too."""
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        pass  # another process was first
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def publish_folder(temporary: Path, final: Path) -> bool:
    """Renames a finished folder into place; returns False, and removes it, where another process was first."""
    for name in os.listdir(temporary):
        _sync(temporary / name)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(temporary, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(temporary)
        return False
    _sync(final.parent)
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def process_alive(pid: int) -> bool:
    """Return whether a process of this machine still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
