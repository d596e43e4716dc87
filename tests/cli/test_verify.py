"""`retbench verify`: the numbers of a bundle, computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.conftest import edit, edit_json
from tests.cli.conftest import RunCommand


@pytest.fixture
def bundle(retbench: RunCommand, toys: Path) -> Path:
    retbench("run", "toy.yaml")
    assert retbench("results", "export", "toy.yaml", "run.zip").code == 0
    return toys / "run.zip"


def forge_a_number(bundle: Path) -> None:
    def change(rows: Any) -> None:
        rows[0]["metrics"]["map"]["value"] = 0.999

    edit_json(bundle, "rows.json", change)


def test_a_sound_bundle_agrees(retbench: RunCommand, bundle: Path) -> None:
    result = retbench("verify", "run.zip")
    assert result.code == 0, result.err
    assert result.out.startswith("toy: 4 of 4 rows have results\n")
    assert "numbers of rows" in result.out
    assert "All values that follow from the codes, labels and recipes agree." in result.out
    assert "Unverifiable, because nothing in the file can confirm them:\n- " in result.out
    assert "perceptibility" in result.out


def test_a_forged_number_exits_with_1_and_is_named(retbench: RunCommand, bundle: Path) -> None:
    forge_a_number(bundle)
    result = retbench("verify", "run.zip")
    assert result.code == 1
    assert result.err == ""
    (line,) = [line for line in result.out.splitlines() if "0.999" in line]
    assert line.startswith("toy/toy/16/i2i/none/none/none/oblivious/0 ")
    assert "metrics.map.value" in line


def test_json_lists_every_finding(retbench: RunCommand, bundle: Path) -> None:
    sound = json.loads(retbench("verify", "run.zip", "--json").out)
    assert sound["ok"] is True
    assert sound["disagreed"] == []
    assert sound["unverifiable"]
    forge_a_number(bundle)
    result = retbench("verify", "run.zip", "--json", "--store", "unused")
    assert result.code == 1
    forged = json.loads(result.out)
    assert forged["ok"] is False
    assert len(forged["agreed"]) == len(sound["agreed"]) - 1
    (finding,) = forged["disagreed"]
    assert finding["got"] == "0.999"
    assert finding["field"] == "metrics.map.value"


def test_a_long_list_of_disagreements_is_shortened(retbench: RunCommand, bundle: Path) -> None:
    def change(rows: Any) -> None:
        for row in rows:
            for interval in row["metrics"].values():
                interval.update(value=0.9, low=0.8, high=0.95)

    edit_json(bundle, "rows.json", change)
    assert "more; --json lists them all" in retbench("verify", "run.zip").out


def test_a_file_that_is_not_a_bundle_is_a_user_error(retbench: RunCommand, toys: Path) -> None:
    for name in ("toy.yaml", "none.zip"):
        result = retbench("verify", name)
        assert result.code == 2
        assert result.err.startswith(f"error: {name}: ")
        assert result.err.count("\n") == 1


def test_an_invalid_gallery_is_a_user_error(retbench: RunCommand, bundle: Path) -> None:
    edit(bundle, lambda members: members.update({"gallery.json": b'{"exhibits": 1}'}))
    for words in (("verify", "run.zip"), ("report", "run.zip", "--format", "html")):
        result = retbench(*words)
        assert result.code == 2
        assert result.err.startswith("error: run.zip: gallery.json: gallery.")
        assert result.err.count("\n") == 1


def test_two_rows_with_swapped_results_exit_with_1(retbench: RunCommand, bundle: Path) -> None:
    def change(rows: Any) -> None:
        one, other = (row for row in rows if row["attack"] == "toy")
        for name in ("key", "metrics", "tie_ranges", "steps"):
            one[name], other[name] = other[name], one[name]

    edit_json(bundle, "rows.json", change)
    result = retbench("verify", "run.zip")
    assert result.code == 1
    assert "defense" in result.out
