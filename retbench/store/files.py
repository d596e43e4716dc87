"""File operations that take effect completely or not at all, even if the process is killed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from retbench.errors import StoreUnwritable, option_name

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space (`retbench gc` removes unused artifacts) and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "it is read-only; choose another with {store}",
    errno.EACCES: "no permission to write; choose another with {store}",
    errno.EPERM: "no permission to write; choose another with {store}",
    errno.ENOTDIR: "it is not a folder; choose another with {store}",
    errno.EEXIST: "it is not a folder; choose another with {store}",
}


@contextmanager
def convert_write_errors(root: Path) -> Iterator[None]:
    """Raise StoreUnwritable, with what to do, for write errors that the user can fix; other errors are not changed.

    Raises:
        StoreUnwritable: the disk is full, or the folder `root` is read-only or not a folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        problem = _REMEDIES[error.errno].format(store=option_name("store", "DIR"))
        raise StoreUnwritable(f"store {root}: {problem}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file; readers see either the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short, because the name of the file may be as long as the system allows; random, because threads, and processes of
    # other machines, may write the same file.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        write_file(temporary, data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Append a line to a file in one write, after a line break if the last line is incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 1, 0))
        incomplete = stream.read(1) not in (b"", b"\n")
        stream.write(b"\n" * incomplete + line + b"\n")


def remove_folder(folder: Path, temporary: Path) -> None:
    """Remove a folder; readers see either the whole folder or none.

    Args:
        folder: the folder; nothing happens if it does not exist.
        temporary: an empty folder on the same disk, which is removed as well.
    """
    try:
        os.rename(folder, temporary)
    except FileNotFoundError:
        pass  # another process removed it first
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish_folder(temporary: Path, final: Path) -> bool:
    """Move a finished folder to its final path, flushed to the disk.

    Returns:
        Whether the folder was moved. False if the final folder already exists, because another process was first; the
        temporary folder is then removed.
    """
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


ABANDONED_SECONDS = 7 * 24 * 60 * 60
"""A temporary folder of another machine counts as abandoned when nothing in it has changed for this long."""


def name_process(pid: int | None = None) -> str:
    """Return a name of a process, by default this one: machine, process id, and start of the process.

    The machine is the host name, and a digest of what changes when it starts again and of the container: process ids
    mean nothing elsewhere. A process id is given again once its process has ended, the start of a process is not.
    """
    pid = os.getpid() if pid is None else pid
    host = re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())[:40] or "host"
    boot = _read_text(Path("/proc/sys/kernel/random/boot_id"))
    machine = sha256(f"{boot} {_namespace()}".encode()).hexdigest()[:8]
    return f"{host}.{machine}.{pid}.{_start_of(pid)}"


def is_abandoned(folder: Path) -> bool:
    """Return whether the process that made a temporary folder, as `name_process()-…`, has ended.

    The processes of other machines, and of versions that named their folders otherwise, cannot be looked up: their
    folders are abandoned when nothing in them has changed for `ABANDONED_SECONDS`.
    """
    owner = folder.name.partition("-")[0]
    machine, _, process = owner.rpartition(".")[0].rpartition(".")
    if process.isdigit() and machine == name_process().rsplit(".", 2)[0]:
        return not process_alive(int(process)) or name_process(int(process)) != owner
    return _last_change(folder) < time.time() - ABANDONED_SECONDS


def process_alive(pid: int) -> bool:
    """Return whether a process of this machine is still running."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder and below it; a file that vanishes meanwhile does not count."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            status = path.lstat()
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size


def _last_change(folder: Path) -> float:
    """Return the time of the last change in a folder; that of a file that vanishes meanwhile does not count."""
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        try:
            times.append(path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times)


def _start_of(pid: int) -> str:
    """Return when a process started, in clock ticks since the machine did; empty where the system does not tell."""
    fields = _read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _namespace() -> str:
    """Return the name space of process ids, one for each container; empty where the system has none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
