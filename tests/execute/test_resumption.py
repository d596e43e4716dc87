"""The numbers of threads of the attempts that a training resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.execute.resumption import note_threads


def test_a_training_without_a_checkpoint_has_its_own_threads_only(tmp_path: Path) -> None:
    assert note_threads(tmp_path, 1) == []
    (tmp_path / ".lock").touch()
    assert note_threads(tmp_path, 2) == []
    (tmp_path / "training.safetensors").touch()
    assert note_threads(tmp_path, 1) == [2]


def test_a_resumed_training_has_the_threads_of_all_attempts(tmp_path: Path) -> None:
    note_threads(tmp_path, 1)
    (tmp_path / "training.safetensors").touch()
    assert note_threads(tmp_path, 1) == []
    assert note_threads(tmp_path, 2) == [1]
    assert note_threads(tmp_path, 4) == [1, 2]
    assert note_threads(tmp_path, 1) == [2, 4]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'["a"]'])
def test_a_damaged_note_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "threads.json").write_bytes(content)
    (tmp_path / "training.safetensors").touch()
    assert note_threads(tmp_path, 2) == []
    assert note_threads(tmp_path, 1) == [2]


def test_an_unfinished_checkpoint_is_none(tmp_path: Path) -> None:
    assert note_threads(tmp_path, 1) == []
    (tmp_path / "training.partial").touch()
    assert note_threads(tmp_path, 4) == []
