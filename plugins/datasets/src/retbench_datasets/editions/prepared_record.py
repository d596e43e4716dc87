"""The record of the files that retbench wrote into a folder, with their digests, to recognize files that changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from retbench import UserError
from retbench_datasets.formats.text_file import write_text


class PreparedRecord:
    """The file `prepared.json` in a folder of lists."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "prepared.json"

    def read(self) -> dict[str, Any]:
        """Return the record; empty if there is none; raises UserError if it is broken."""
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
            f"{self._path}: it was changed by something other than retbench: {problem}; restore it, or remove it and "
            "the lists in its folder and prepare them again"
        )

    def write(self, record: Mapping[str, Any]) -> None:
        """Replace the record atomically; raises UserError if it cannot be written."""
        write_text(self._path, json.dumps(record, indent=2, sort_keys=True) + "\n")
