"""What retbench wrote into a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.editions.prepared_record import PreparedRecord

from retbench import UserError


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    assert PreparedRecord(tmp_path).read() == {}
    PreparedRecord(tmp_path).write({"rows": "drawn", "remarks": ("a",)})
    assert PreparedRecord(tmp_path).read() == {"rows": "drawn", "remarks": ["a"]}
    assert [path.name for path in tmp_path.iterdir()] == ["prepared.json"]


@pytest.mark.parametrize("content", [b"", b'{"rows": ', b"[1]", b"\xff", b"null"])
def test_a_broken_record_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prepared.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^[^\n]*prepared.json: it is not what retbench wrote: [^\n]*$"):
        PreparedRecord(tmp_path).read()
