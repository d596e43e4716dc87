"""The digests of many files, remembered between runs for as long as the files stay the same."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

RACY = 2_000_000_000
"""Nanoseconds before a reading in which a file may have changed without a new time: such a file is not remembered."""
CHUNK = 500
"""Rows of one query of the cache; SQLite allows 999 parameters."""


class _State(NamedTuple):
    """What changes whenever a file changes; the time of the inode (ctime) cannot be set by programs."""

    size: int
    modified: int
    changed: int
    inode: int
    device: int


def cache_root() -> Path:
    """Return the folder of remembered digests: `RETBENCH_CACHE`, or `retbench` in the user's cache folder."""
    if root := os.environ.get("RETBENCH_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retbench"


def digest_files(paths: Sequence[str | Path]) -> list[str]:
    """Return the sha256 of each file's bytes, in this order; no paths give an empty list.

    Files are read in several threads. A digest is remembered in `cache_root()` with the size, times and inode of its
    file, and read again only if one of them changed. Remembered digests are not needed: without a folder that can be
    written, all files are read each time.

    Args:
        paths: files; a path may occur several times.

    Raises:
        OSError: a file cannot be read.
    """
    names = list(dict.fromkeys(os.path.abspath(path) for path in paths))
    states = {name: _read_state(name) for name in names}
    with _open_cache() as cache:
        found = {name: digest for name, state, digest in _recall(cache, names) if states[name] == state}
        unknown = [name for name in names if name not in found]
        started = time.time_ns()
        with ThreadPoolExecutor() as threads:
            found.update(zip(unknown, threads.map(_digest, unknown, chunksize=64), strict=True))
        lasting = [name for name in unknown if max(states[name].modified, states[name].changed) < started - RACY]
        _remember(cache, [(name, states[name], found[name]) for name in lasting if _read_state(name) == states[name]])
    return [found[os.path.abspath(path)] for path in paths]


def _read_state(path: str) -> _State:
    status = os.stat(path)
    return _State(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _digest(path: str) -> str:
    with open(path, "rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


@contextmanager
def _open_cache() -> Iterator[sqlite3.Connection | None]:
    """Provide the cache, or None where it cannot be opened; a damaged one is made anew."""
    path = cache_root() / "file-digests.sqlite"
    connection = _connect(path)
    if connection is None and path.is_file():
        with suppress(OSError):
            path.unlink()
        connection = _connect(path)
    if connection is None:
        yield None
        return
    with closing(connection):
        yield connection


def _connect(path: Path) -> sqlite3.Connection | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=10)
        connection.execute(
            "create table if not exists files (path text primary key, size int, modified int, changed int, inode text, "
            "device text, digest text)"
        )
    except (OSError, sqlite3.Error):
        return None
    return connection


def _recall(cache: sqlite3.Connection | None, names: Sequence[str]) -> Iterator[tuple[str, _State, str]]:
    """Yield path, state and digest of the remembered files among these."""
    if cache is None:
        return
    try:
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            rows = cache.execute(f"select * from files where path in ({','.join('?' * len(chunk))})", chunk)
            for path, size, modified, changed, inode, device, digest in rows:
                yield path, _State(size, modified, changed, int(inode), int(device)), digest
    except (sqlite3.Error, ValueError, TypeError):
        return  # a damaged or locked cache: the rest is read from the files


def _remember(cache: sqlite3.Connection | None, rows: Sequence[tuple[str, _State, str]]) -> None:
    if cache is None:
        return
    # Inodes are unsigned 64-bit numbers, which SQLite does not have.
    values = [(path, s.size, s.modified, s.changed, str(s.inode), str(s.device), digest) for path, s, digest in rows]
    try:
        with cache:
            cache.executemany("insert or replace into files values (?, ?, ?, ?, ?, ?, ?)", values)
    except sqlite3.Error:
        return  # a full disk or another process: the files are read again next time
