"""Commands print how many files they have read."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench import digest_files, file_digests
from retbench.cli import reading_progress
from retbench.cli.reading_progress import show_reading


def test_a_long_reading_is_shown_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file_digests, "BLOCK", 2)
    monkeypatch.setattr(reading_progress, "SECONDS_BETWEEN_LINES", 0.0)
    files = [tmp_path / f"{number}.jpg" for number in range(5)]
    for file in files:
        file.write_bytes(file.name.encode())
    with show_reading():
        digest_files(files)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"reading files, to notice changed images: {read} of 5" for read in (2, 4)]
    digest_files(files)
    assert capsys.readouterr().err == ""


def test_a_short_reading_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    with show_reading():
        digest_files([tmp_path / "a.jpg"])
    assert capsys.readouterr().err == ""
