"""Published weight files."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.contracts import Weights, weights_root


def test_the_weights_folder_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = Weights("net.pth", "https://example.org/net.pth", "0123abcd", "as published")
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    assert weights.path == tmp_path / "net.pth"
    monkeypatch.setenv("RETBENCH_WEIGHTS", "")
    assert weights_root() == Path("weights")


def test_a_file_without_a_published_sha256_only_has_to_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = Weights("net.mat", "https://example.org/net.mat", "", "none is stated")
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    assert weights.problem() == f"missing: expected {tmp_path / 'net.mat'}, published at https://example.org/net.mat"
    weights.path.write_bytes(b"anything")
    assert weights.problem() is None
