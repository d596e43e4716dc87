"""The record of the files that retbench wrote into a folder: one that is replaced later no longer counts as its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from retbench import UserError
from retbench_datasets.formats.text_file import write_text


class PreparedRecord:
    """`prepared.json` in a folder of lists."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "prepared.json"

    def read(self) -> dict[str, Any]:
        """Returns what was written; empty where there is no record; raises UserError for one that is broken."""
        if not self._path.is_file():
            return {}
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self._refuse(str(error))
        if not isinstance(record, dict):
            self._refuse(f"got {type(record).__name__}, expected an object")
        return record

    def _refuse(self, problem: str) -> NoReturn:
        raise UserError(
            f"{self._path}: it is not what retbench wrote: {problem}; restore it, or remove it and the lists beside it "
            "and prepare them again"
        )

    def write(self, record: Mapping[str, Any]) -> None:
        """Replaces the record, at once or not at all; raises UserError if it cannot."""
        write_text(self._path, json.dumps(record, indent=2, sort_keys=True) + "\n")
