"""The records of runs in a store: JSON files, written completely or not at all, and never ignored where unreadable."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from retbench.canon import Json, digest
from retbench.errors import RecordUnreadable, UserError
from retbench.store.files import convert_write_errors, replace_file

FORMAT, SELF = "format", "self"
"""Fields of a record: its format, which records before format 2 lack, and the digest of its other fields."""


class RunRecords:
    """The JSON records in the folder `runs` of a store.

    Args:
        root: the folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "runs"

    def paths(self) -> list[Path]:
        """Return the files of all records, sorted; also those in folders, which versions before format 2 made.

        Raises:
            UserError: the folder exists, but cannot be listed.
        """

        def fail(error: OSError) -> None:
            raise UserError(
                f"store {self.root}: the folder of run records cannot be read: {error.filename}: {error.strerror}; "
                "make it readable, so that what these runs need can be known"
            )

        if not os.path.lexists(self.folder):
            return []
        found = [
            Path(folder, name)
            for folder, folders, files in os.walk(self.folder, onerror=fail)
            for name in (*folders, *files)
            if name.endswith(".json") and not name.startswith(".")
        ]
        return sorted(found)

    def read(self, path: Path) -> dict[str, Json]:
        """Return a record, after checking its digest; records before format 2 have none.

        Raises:
            RecordUnreadable: the file cannot be read, or its content is not that of a record, or changed.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RecordUnreadable(path, error.strerror or str(error)) from None
        if not data:
            raise RecordUnreadable(path, "the file is empty")
        try:
            record = json.loads(data)
        except (ValueError, RecursionError):
            raise RecordUnreadable(path, "it is not valid JSON") from None
        if not isinstance(record, dict):
            raise RecordUnreadable(path, f"got a JSON {type(record).__name__}, expected an object")
        if FORMAT in record:
            expected = record.pop(SELF, None)
            try:
                actual = digest(record)
            except ValueError:
                raise RecordUnreadable(path, "it has a number that is not finite") from None
            if expected != actual:
                raise RecordUnreadable(path, "it does not match its digest")
        return record

    def write(self, path: Path, record: Mapping[str, Json]) -> None:
        """Write a record, which has a `format`, with its digest; readers see the old record or the new one.

        Raises:
            StoreUnwritable: the folder is read-only or full.
            TypeError, ValueError: the record is not JSON.
        """
        data = json.dumps({**record, SELF: digest(record)}, indent=1).encode()
        with convert_write_errors(self.root):
            replace_file(path, data)

    def remove(self, path: Path) -> None:
        """Remove a record; does nothing if there is none."""
        with convert_write_errors(self.root):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing records in this block; it waits until they have finished."""
        with convert_write_errors(self.root):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = open(self.folder / ".lock", "ab")  # noqa: SIM115  held for the whole block below
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
