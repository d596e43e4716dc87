"""Published weight files."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.contracts import Weights, weights_root


def test_files_lie_in_the_folder_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = Weights("net.pth", "https://example.org/net.pth", "0123abcd", "as published")
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    assert weights.path == tmp_path / "net.pth"
    monkeypatch.setenv("RETBENCH_WEIGHTS", "")
    assert weights_root() == Path("weights")
