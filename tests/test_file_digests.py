"""Digests of files follow their content, and are read again only if a file changed."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from retbench import digest_files, file_digests
from retbench.file_digests import cache_root


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the files that are read, with an empty cache; files count as old."""
    read: list[str] = []
    original = file_digests._digest

    def record(path: str) -> str:
        read.append(os.path.basename(path))
        return original(path)

    monkeypatch.setenv("RETBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "_digest", record)
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
    (cache_root() / "file-digests.sqlite").write_bytes(damage)
    assert digest_files(files) == first
    reads.clear()
    assert digest_files(files) == first
    assert reads == []


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
