"""The records of runs: written completely or not at all, and never ignored where they cannot be read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench.canon import Json
from retbench.errors import RecordUnreadable, UserError
from retbench.store import RunRecords, Store

RECORD: dict[str, Json] = {"format": 2, "keys": ["ab" * 32]}


@pytest.fixture
def records(store: Store) -> RunRecords:
    return store.run_records


@pytest.fixture
def smoke(records: RunRecords) -> Path:
    """The path of a written record."""
    path = records.folder / "smoke.json"
    records.write(path, RECORD)
    return path


def test_a_record_is_read_back_and_removed(records: RunRecords, smoke: Path) -> None:
    assert records.paths() == [smoke]
    assert records.read(smoke) == RECORD
    records.remove(smoke)
    records.remove(smoke)
    assert records.paths() == []


def test_records_of_the_former_format_are_found_also_in_folders(records: RunRecords, smoke: Path) -> None:
    former = records.folder / "smoke@with" / "slash.json"
    former.parent.mkdir()
    former.write_text('{"keys": []}')
    assert records.paths() == [smoke, former]
    assert records.read(former) == {"keys": []}


def test_other_files_are_not_records(records: RunRecords, smoke: Path) -> None:
    for name in ("notes.txt", ".smoke.json.tmp", ".half.json"):
        (records.folder / name).write_bytes(b"")
    with records.locked():
        assert records.paths() == [smoke]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"{", "it is not valid JSON"),
        (b"\xff\xfe", "it is not valid JSON"),
        (b"[" * 100_000, "it is not valid JSON"),
        (b"[]", "got a JSON list, expected an object"),
        (b"null", "got a JSON NoneType, expected an object"),
        (b'{"format": 2, "keys": []}', "it does not match its digest"),
        (b'{"format": 2, "keys": [NaN], "self": "0"}', "it has a number that is not finite"),
    ],
)
def test_an_invalid_record_is_unreadable(records: RunRecords, smoke: Path, content: bytes, problem: str) -> None:
    smoke.write_bytes(content)
    assert records.paths() == [smoke]
    with pytest.raises(RecordUnreadable) as caught:
        records.read(smoke)
    assert str(caught.value) == f"{smoke}: not a readable record of a run: {problem}"


def test_a_changed_key_in_a_record_is_detected(records: RunRecords, smoke: Path) -> None:
    smoke.write_bytes(smoke.read_bytes().replace(b"abab", b"abac", 1))
    with pytest.raises(RecordUnreadable, match="does not match its digest"):
        records.read(smoke)


def test_every_truncation_of_a_record_is_detected(records: RunRecords, smoke: Path) -> None:
    content = smoke.read_bytes()
    for size in range(len(content)):
        smoke.write_bytes(content[:size])
        with pytest.raises(RecordUnreadable):
            records.read(smoke)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), lambda path: path.mkdir()])
def test_a_dangling_link_and_a_folder_are_unreadable_records(
    records: RunRecords, smoke: Path, make: Callable[[Path], None]
) -> None:
    broken = records.folder / "broken.json"
    make(broken)
    assert records.paths() == [broken, smoke]
    with pytest.raises(RecordUnreadable, match=r"broken\.json: .*(No such file|Is a directory)"):
        records.read(broken)


def test_a_record_without_permission_is_unreadable(
    records: RunRecords, smoke: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RecordUnreadable, match="Permission denied"):
        records.read(smoke)


def test_a_folder_of_records_without_permission_raises(
    records: RunRecords, smoke: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"the folder of run records cannot be read: .*runs: Permission denied"):
        records.paths()


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("unmounted"), lambda path: path.write_bytes(b"")])
def test_a_folder_of_records_that_is_none_raises(records: RunRecords, make: Callable[[Path], None]) -> None:
    records.root.mkdir()
    make(records.folder)
    with pytest.raises(UserError, match="the folder of run records cannot be read"):
        records.paths()


def test_a_locked_record_is_changed_by_one_process_at_a_time(
    records: RunRecords, start: Callable[[str], Any], smoke: Path
) -> None:
    program = (
        "records = store.run_records\n"
        "path = records.folder / 'smoke.json'\n"
        "pipe.recv()\n"
        "for number in range(20):\n"
        "    with records.locked():\n"
        "        record = records.read(path)\n"
        "        records.write(path, {**record, 'keys': [*record['keys'], str(number)]})\n"
        "pipe.send('done')\n"
    )
    workers = [start(program) for _ in range(2)]
    for worker in workers:
        worker.pipe.send("go")
    assert [worker.pipe.recv() for worker in workers] == ["done", "done"]
    assert len(json.loads(smoke.read_bytes())["keys"]) == 1 + 2 * 20
