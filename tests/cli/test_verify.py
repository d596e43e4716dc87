"""`retbench verify`: the numbers of a bundle, computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retbench.cli import main
from tests.bundle.conftest import edit, edit_json
from tests.cli.conftest import Retbench


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is known under its name, wherever the list of commands stands."""
    monkeypatch.setattr(main, "COMMANDS", tuple(dict.fromkeys((*main.COMMANDS, "verify"))))


@pytest.fixture
def bundle(retbench: Retbench, toys: Path) -> Path:
    retbench("run", "toy.yaml")
    assert retbench("results", "export", "toy.yaml", "run.zip").code == 0
    return toys / "run.zip"


def forge(bundle: Path) -> None:
    def change(rows: Any) -> None:
        rows[0]["metrics"]["map"]["value"] = 0.999

    edit_json(bundle, "rows.json", change)


def test_a_sound_bundle_agrees(retbench: Retbench, bundle: Path) -> None:
    told = retbench("verify", "run.zip")
    assert told.code == 0, told.err
    assert told.out.startswith("toy: 4 of 4 rows have numbers\n")
    assert "numbers of rows" in told.out
    assert "Everything that follows from codes, labels and recipes agrees." in told.out
    assert "Carried, as nothing in the file can confirm them:\n- " in told.out
    assert "perceptibility" in told.out


def test_a_forged_number_fails_and_is_named(retbench: Retbench, bundle: Path) -> None:
    forge(bundle)
    told = retbench("verify", "run.zip")
    assert told.code == 1
    assert told.err == ""
    (line,) = [line for line in told.out.splitlines() if "0.999" in line]
    assert line.startswith("toy/toy/16/i2i/none/none/none/oblivious/0 ")
    assert "metrics.map.value" in line


def test_json_lists_every_finding(retbench: Retbench, bundle: Path) -> None:
    sound = json.loads(retbench("verify", "run.zip", "--json").out)
    assert sound["ok"] is True
    assert sound["disagreed"] == []
    forge(bundle)
    told = retbench("verify", "run.zip", "--json", "--store", "unused")
    assert told.code == 1
    found = json.loads(told.out)
    assert found["ok"] is False
    assert len(found["agreed"]) == len(sound["agreed"]) - 1
    (wrong,) = found["disagreed"]
    assert wrong["got"] == "0.999"
    assert wrong["field"] == "metrics.map.value"


def test_many_disagreements_are_cut(retbench: Retbench, bundle: Path) -> None:
    def change(rows: Any) -> None:
        for row in rows:
            for interval in row["metrics"].values():
                interval.update(value=0.9, low=0.8, high=0.95)

    edit_json(bundle, "rows.json", change)
    assert "more; --json lists them all" in retbench("verify", "run.zip").out


def test_what_is_not_a_bundle_is_the_users_mistake(retbench: Retbench, toys: Path) -> None:
    for name in ("toy.yaml", "none.zip"):
        told = retbench("verify", name)
        assert told.code == 2
        assert told.err.startswith(f"error: {name}: ")
        assert told.err.count("\n") == 1


def test_a_gallery_that_is_none_is_the_users_mistake(retbench: Retbench, bundle: Path) -> None:
    edit(bundle, lambda members: members.update({"gallery.json": b'{"exhibits": 1}'}))
    for words in (("verify", "run.zip"), ("report", "run.zip", "--format", "html")):
        told = retbench(*words)
        assert told.code == 2
        assert told.err.startswith("error: run.zip: gallery.json: gallery.")
        assert told.err.count("\n") == 1


def test_two_rows_that_changed_places_fail(retbench: Retbench, bundle: Path) -> None:
    def change(rows: Any) -> None:
        one, other = (row for row in rows if row["attack"] == "toy")
        for name in ("key", "metrics", "tie_ranges", "steps"):
            one[name], other[name] = other[name], one[name]

    edit_json(bundle, "rows.json", change)
    told = retbench("verify", "run.zip")
    assert told.code == 1
    assert "defense" in told.out
