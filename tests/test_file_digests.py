"""Digests of files follow their content, and are read again only if a file changed."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from retbench import digest_files, file_digests
from retbench.file_digests import ReadFile, cache_root, digest_file, observe_reading, read_files


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the files that are read, with an empty cache; files count as old."""
    read: list[str] = []
    original = file_digests._read

    def record(path: str) -> ReadFile:
        read.append(os.path.basename(path))
        return original(path)

    monkeypatch.setenv("RETBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "_read", record)
    monkeypatch.setattr(file_digests, "RACY", -86_400_000_000_000)
    return read


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode() * 10)
    return paths


def test_digests_are_those_of_the_bytes_in_the_order_of_the_paths(files: list[Path], reads: list[str]) -> None:
    wanted = [sha256(path.read_bytes()).hexdigest() for path in files]
    assert digest_files([files[2], files[0], files[2], str(files[1])]) == [wanted[2], wanted[0], wanted[2], wanted[1]]
    assert sorted(reads) == ["a.png", "b.png", "c.png"]
    assert digest_files([]) == []


def test_an_unchanged_file_is_read_once(files: list[Path], reads: list[str]) -> None:
    first = digest_files(files)
    reads.clear()
    assert digest_files(files) == first
    assert reads == []


def test_a_changed_file_is_read_again_even_with_its_old_size_and_time(files: list[Path], reads: list[str]) -> None:
    before, times = digest_files(files), files[1].stat()
    files[1].write_bytes(bytes(255 - byte for byte in files[1].read_bytes()))
    os.utime(files[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert files[1].stat().st_size == times.st_size
    reads.clear()
    after = digest_files(files)
    assert reads == ["b.png"]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_a_replaced_file_is_read_again(files: list[Path], reads: list[str], tmp_path: Path) -> None:
    before = digest_files(files)
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").replace(files[0])
    assert digest_files(files)[0] != before[0]


def test_a_file_that_has_just_changed_is_not_remembered(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "RACY", 2_000_000_000)
    digest_files(files)
    reads.clear()
    digest_files(files)
    assert sorted(reads) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    "damage", [b"", b"no database", b"SQLite format 3\0" + bytes(200)], ids=["empty", "text", "cut"]
)
def test_a_damaged_cache_is_made_anew(files: list[Path], reads: list[str], damage: bytes) -> None:
    first = digest_files(files)
    (cache_root() / "files-2.sqlite").write_bytes(damage)
    assert digest_files(files) == first
    reads.clear()
    assert digest_files(files) == first
    assert reads == []


def test_damage_in_the_middle_of_the_cache_is_repaired_by_later_readings(
    files: list[Path], reads: list[str], tmp_path: Path
) -> None:
    many = [tmp_path / f"{number:04d}.png" for number in range(300)]
    for path in many:
        path.write_bytes(path.name.encode())
    expected = digest_files(many)
    database = cache_root() / "files-2.sqlite"
    content = bytearray(database.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xff" * 4096 * 4  # the first page, which describes the table, stays
    database.write_bytes(content)
    for _ in range(2):
        assert digest_files(many) == expected
    reads.clear()
    assert digest_files(many) == expected
    assert reads == []


def test_a_cache_that_another_process_locks_is_kept(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "LOCK_SECONDS", 0.05)
    first = digest_files(files[:2])
    with closing(sqlite3.connect(cache_root() / "files-2.sqlite")) as other:
        other.execute("begin exclusive")
        assert digest_files(files)[:2] == first
        other.rollback()
    reads.clear()
    digest_files(files)
    assert reads == ["c.png"]


def test_processes_that_read_the_same_files_at_once_agree(files: list[Path], reads: list[str]) -> None:
    script = "import sys, retbench.file_digests as f; f.RACY = -10**18; print(f.digest_files(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *map(str, files)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0].strip() for process in processes}
    assert outputs == {str(digest_files(files))}
    assert reads == []


def test_an_interrupted_reading_continues_after_its_last_block(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "BLOCK", 2)
    counts = []

    def interrupt(read: int, total: int) -> None:
        counts.append((read, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), observe_reading(interrupt):
        digest_files(files)
    reads.clear()
    digest_files(files)
    assert reads == ["c.png"]
    assert counts == [(2, 3)]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = file_digests._read

    def read_and_change(path: str) -> ReadFile:
        result = original(path)
        Path(path).write_bytes(b"changed")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(file_digests, "_read", read_and_change)
        digest_files(files)
    assert digest_files(files) == [sha256(b"changed").hexdigest()] * 3


def test_a_link_has_the_state_of_its_target(files: list[Path], reads: list[str], tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(files[0])
    link, target, other = read_files([tmp_path / "link.png", *files[:2]])
    assert link == target
    assert link.state.inode != other.state.inode


def test_without_a_writable_cache_all_files_are_read(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_CACHE", str(files[0]))  # a file is no folder
    first = digest_files(files)
    reads.clear()
    assert digest_files(files) == first
    assert sorted(reads) == ["a.png", "b.png", "c.png"]


def test_a_missing_file_is_an_os_error(tmp_path: Path, reads: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        digest_files([tmp_path / "gone.png"])


def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RETBENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "retbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "retbench"


def test_one_file_has_the_digest_of_its_bytes_after_every_change(tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "weights"
    for content in (b"", b"first", b"other"):
        file.write_bytes(content)
        os.utime(file, ns=(0, 0))
        assert digest_file(file) == sha256(content).hexdigest()
    file.unlink()
    with pytest.raises(FileNotFoundError, match="weights"):
        digest_file(file)


def test_a_name_that_is_no_utf_8_is_remembered_like_others(tmp_path: Path, files: list[Path], reads: list[str]) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff.bin"
    with open(odd, "wb") as stream:
        stream.write(b"odd")
    paths = [*files, os.fsdecode(odd)]
    first = digest_files(paths)
    assert first[-1] == sha256(b"odd").hexdigest()
    reads.clear()
    assert digest_files(paths) == first
    assert reads == []


def test_one_file_is_read_once_without_a_cache(
    files: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_CACHE", "/proc/none")
    assert len({digest_file(files[0]) for _ in range(3)}) == 1
    assert reads == [files[0].name]
    files[0].write_bytes(b"other")
    assert digest_file(files[0]) == sha256(b"other").hexdigest()


class FaultyDisk(io.FileIO):
    """A file that the disk cannot return."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def test_an_error_of_the_disk_names_its_file(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "open", lambda path, *_, **__: FaultyDisk(path), raising=False)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.png'$"):
        digest_files(files[:1])
