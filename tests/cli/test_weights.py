"""`retbench weights`: the weight files of a suite, listed, downloaded and checked."""

from __future__ import annotations

import io
import json
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from retbench.testing import write_plugin

from .conftest import RunCommand

PLUGIN = """
from retbench import Weights, hookimpl
from retbench.testing.toys import ToyHasher

class Pretrained(ToyHasher):
    "Starts from a published file."
    name = "pretrained"
    def downloads(self, facts):
        return (Weights("net.bin", {address!r}, {digest!r}, "research only"),)

@hookimpl
def retbench_hashers():
    return [Pretrained]
"""
BYTES = b"published weights"


@pytest.fixture
def folder(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a suite, and with the published file that its hasher needs."""
    (toys / "published.bin").write_bytes(BYTES)
    source = PLUGIN.format(address=(toys / "published.bin").as_uri(), digest=sha256(BYTES).hexdigest()[:8])
    monkeypatch.delitem(sys.modules, "pretrained_module", raising=False)  # each test writes its own
    write_plugin(toys / "plugins", "pretrained-toys", "pretrained_module", source)
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,pretrained-toys")
    monkeypatch.delenv("RETBENCH_WEIGHTS", raising=False)
    (toys / "suite.yaml").write_text("suite: s\nmatrix: {dataset: toy, hasher: [toy, pretrained], bits: 8}\n")
    return toys


def test_weights_are_listed_and_downloaded_once_and_then_the_cell_runs(retbench: RunCommand, folder: Path) -> None:
    (missing,) = json.loads(retbench("weights", "list", "suite.yaml", "--json").out)
    assert missing["problem"].startswith("missing: expected weights/net.bin")
    assert missing["for"] == "hasher pretrained"
    skipped = [cell for cell in json.loads(retbench("plan", "suite.yaml", "--json").out)["cells"] if cell["reason"]]
    assert [cell["hasher"] for cell in skipped] == ["pretrained"]
    assert retbench("weights", "prepare", "suite.yaml", "--yes").code == 0
    assert (folder / "weights" / "net.bin").read_bytes() == BYTES
    assert "ready" in retbench("weights", "list", "suite.yaml").out
    assert retbench("weights", "prepare", "suite.yaml").out == "weights/net.bin: ready\n"
    assert retbench("run", "suite.yaml").code == 0
    assert not [cell for cell in json.loads(retbench("plan", "suite.yaml", "--json").out)["cells"] if cell["reason"]]


def test_a_file_with_another_digest_is_refused_and_leaves_nothing(retbench: RunCommand, folder: Path) -> None:
    (folder / "published.bin").write_bytes(b"something else")
    result = retbench("weights", "prepare", "suite.yaml", "--yes")
    assert result.code == 2
    assert "weights net.bin: download failed: invalid hash value" in result.err
    assert list((folder / "weights").iterdir()) == []


def test_a_failed_download_is_one_line(retbench: RunCommand, folder: Path) -> None:
    (folder / "published.bin").unlink()
    result = retbench("weights", "prepare", "suite.yaml", "--yes")
    assert result.code == 2
    assert "download failed" in result.err
    assert "put it at weights/net.bin" in result.err


def test_nothing_is_downloaded_without_confirmation(
    retbench: RunCommand, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "download it to weights/net.bin?" in retbench("weights", "prepare", "suite.yaml").out
    assert not (folder / "weights" / "net.bin").exists()


def test_a_suite_without_published_weights_prints_a_message(retbench: RunCommand, folder: Path) -> None:
    message = "no cell whose dataset is on disk needs published weights\n"
    assert retbench("weights", "list", "toy.yaml").out.endswith(message)
    assert retbench("weights", "prepare", "toy.yaml").out == message
