"""The digests of many files, remembered between runs for as long as the files stay the same."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

RACY = 2_000_000_000
"""Nanoseconds before a reading in which a file may have changed without a new time: such a file is not remembered."""
BLOCK = 4096
"""Files after which digests are remembered, so that an interrupted reading continues there."""
QUERY_ROWS = 500
"""Rows of one query of the cache; SQLite allows 999 parameters."""
SHARE = 32
"""Files that a thread reads at once: a thread switch for each small file would take longer than reading it."""
CHUNK_BYTES = 2**20
"""Bytes of a file that are in memory at once."""
LOCK_SECONDS = 10.0
"""How long to wait for another process that writes the cache."""

_OBSERVER: ContextVar[Callable[[int, int], object]] = ContextVar("_OBSERVER", default=lambda read, total: None)


class FileState(NamedTuple):
    """What changes whenever a file changes: size, times in nanoseconds, inode and device.

    A program can restore the size and the time of modification, but not the time of the inode (`changed`).
    """

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    def __str__(self) -> str:
        return f"{self.size} {self.modified} {self.changed} {self.inode} {self.device}"


class ReadFile(NamedTuple):
    """The state of a file, and the sha256 of its bytes as hexadecimal digits."""

    state: FileState
    digest: str


_KNOWN: dict[str, ReadFile] = {}
"""The single files read by this process, of which there are few."""


def cache_root() -> Path:
    """Return the folder of remembered digests: `RETBENCH_CACHE`, or `retbench` in the user's cache folder."""
    if root := os.environ.get("RETBENCH_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retbench"


@contextmanager
def observe_reading(observer: Callable[[int, int], object]) -> Iterator[None]:
    """Call `observer` with the numbers of files read and to read, after every few thousand files in this block."""
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)


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
    return [file.digest for file in read_files(paths)]


def digest_file(path: str | Path) -> str:
    """Return the sha256 of one file's bytes, as `digest_files` does; also remembered in this process.

    Recipes ask for the digest of a weight file many times, perhaps where no cache can be written.
    """
    name = os.path.abspath(path)
    known = _KNOWN.get(name)
    if known is None or known.state != _state(os.stat(name)):
        (known,) = read_files([name])
        if _is_lasting(name, known, time.time_ns()):
            _KNOWN[name] = known
    return known.digest


def read_files(paths: Sequence[str | Path]) -> list[ReadFile]:
    """Return state and digest of each file as `digest_files` does; of a link, those of its target."""
    names = [os.path.abspath(path) for path in paths]
    states = {name: _state(os.stat(name)) for name in dict.fromkeys(names)}
    with _Cache() as cache:
        digests = cache.recall(states)
        unknown = [name for name in states if name not in digests]
        with ThreadPoolExecutor() as threads:
            for start in range(0, len(unknown), BLOCK):
                block, started = unknown[start : start + BLOCK], time.time_ns()
                shares = [block[first : first + SHARE] for first in range(0, len(block), SHARE)]
                read = dict(zip(block, chain.from_iterable(threads.map(_read_share, shares)), strict=True))
                states.update((name, file.state) for name, file in read.items())
                digests.update((name, file.digest) for name, file in read.items())
                cache.remember({name: file for name, file in read.items() if _is_lasting(name, file, started)})
                _OBSERVER.get()(start + len(block), len(unknown))
    return [ReadFile(states[name], digests[name]) for name in names]


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _read_share(paths: Sequence[str]) -> list[ReadFile]:
    return [_read(path) for path in paths]


def _read(path: str) -> ReadFile:
    with open(path, "rb", buffering=0) as stream:  # hashlib.file_digest takes twice the time for small files
        state, digest = _state(os.fstat(stream.fileno())), sha256()
        try:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
        except OSError as error:  # of a disk or a server; it does not know the name of the file
            raise OSError(error.errno, error.strerror, path) from None
    return ReadFile(state, digest.hexdigest())


def _is_lasting(path: str, file: ReadFile, started: int) -> bool:
    """Return whether a later change of the file would give it another state than the one it was read with."""
    if max(file.state.modified, file.state.changed) >= started - RACY:
        return False
    with suppress(OSError):
        return _state(os.stat(path)) == file.state
    return False


class _Cache:
    """The remembered files in an SQLite database, which keeps it consistent if several processes use it.

    One that cannot be used is the same as an empty one. A damaged one is removed, at once or, if the damage shows
    while it is used, before the next reading; one that is locked, or that cannot be written, is kept.
    """

    def __init__(self) -> None:
        self._path = Path()
        self._connection: sqlite3.Connection | None = None
        self._removed = False

    def __enter__(self) -> Self:
        self._open()
        if self._removed:
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        with self._tolerate_errors():
            self._path = cache_root() / "files-2.sqlite"  # another number for another table
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=LOCK_SECONDS)
            self._connection.execute(
                "create table if not exists files (path blob primary key, state text, digest text)"
            )

    def recall(self, states: Mapping[str, FileState]) -> dict[str, str]:
        """Return the digests of the files, by path, that were remembered in these states."""
        digests, paths = dict[str, str](), list(states)
        for start in range(0, len(paths), QUERY_ROWS):
            chunk = paths[start : start + QUERY_ROWS]
            with self._tolerate_errors():
                if self._connection is None:
                    break
                places = ",".join("?" * len(chunk))
                names = {os.fsencode(path): path for path in chunk}  # a name may be no UTF-8
                rows = self._connection.execute(f"select * from files where path in ({places})", [*names])
                found = ((names[name], state, digest) for name, state, digest in rows)
                digests.update((path, digest) for path, state, digest in found if state == str(states[path]))
        return digests

    def remember(self, files: Mapping[str, ReadFile]) -> None:
        """Add or replace files."""
        rows = [(os.fsencode(path), str(state), digest) for path, (state, digest) in files.items()]
        with self._tolerate_errors():
            if self._connection is not None:
                with self._connection:
                    self._connection.executemany("insert or replace into files values (?, ?, ?)", rows)

    @contextmanager
    def _tolerate_errors(self) -> Iterator[None]:
        """Go on without the cache after an error in this block."""
        try:
            yield
        except (OSError, RuntimeError, sqlite3.OperationalError):  # no home, not writable, full, or locked for too long
            self._close()
        except (sqlite3.Error, ValueError, TypeError):
            self._close()
            self._removed = True
            for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
                with suppress(OSError):
                    path.unlink()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
