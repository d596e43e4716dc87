"""The record of the files that retbench wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.editions.prepared_record import PreparedRecord

from retbench import UserError


def test_a_written_record_is_read_back(tmp_path: Path) -> None:
    assert PreparedRecord(tmp_path).read() == {}
    PreparedRecord(tmp_path).write({"rows": "drawn", "remarks": ("a",)})
    assert PreparedRecord(tmp_path).read() == {"rows": "drawn", "remarks": ["a"]}
    assert [path.name for path in tmp_path.iterdir()] == ["prepared.json"]


@pytest.mark.parametrize("content", [b"", b'{"rows": ', b"[1]", b"\xff", b"null"])
def test_a_broken_record_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prepared.json").write_bytes(content)
    with pytest.raises(
        UserError, match=r"^[^\n]*prepared.json: it was changed by something other than retbench: [^\n]*$"
    ):
        PreparedRecord(tmp_path).read()
