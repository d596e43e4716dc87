"""`retbench why`: the status of a cell, its steps, and the recipe fields that changed."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import RunCommand

CELL = "toy/toy/16/i2i/toy/none/none/oblivious/0"


def test_the_steps_of_a_stored_cell_are_listed(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    result = retbench("why", CELL)
    assert result.out.startswith(f"{CELL}: stored\n")
    assert result.out.splitlines()[1] == "steps:"
    assert "stored" in result.out.splitlines()[2]


def test_a_changed_option_is_named(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    explanation = json.loads(retbench("why", CELL, "--json", "--set", "components.attack.toy.eps=0.5").out)
    assert explanation["status"] == "to run"
    assert {change["field"] for change in explanation["changes"]} == {"attack.options.eps"}
    assert {(change["before"], change["after"]) for change in explanation["changes"]} == {(60 / 255, 0.5)}


def test_a_change_of_an_input_is_named_with_its_stage(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    explanation = json.loads(retbench("why", CELL, "--json", "--set", "components.hasher.toy.gain=2").out)
    assert [(change["stage"], change["field"]) for change in explanation["changes"]] == [
        ("fit", "component.options.gain")
    ]


def test_parts_that_match_several_cells_list_them(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    result = retbench("why", "toy/none")
    assert result.code == 2
    assert "matches 4 cells" in result.err
    assert CELL in result.err


def test_an_unknown_cell_names_the_nearest(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    result = retbench("why", CELL.replace("i2i", "i2j"))
    assert result.code == 2
    assert "nearest" in result.err


def test_a_failed_cell_has_its_reason(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml", "--set", "matrix.attack=faulty")
    result = retbench("why", "toy/toy/16/i2i/faulty/none/none/oblivious/0")
    assert "failed: invalid: attack faulty" in result.out


def test_a_change_is_compared_with_the_last_result_after_a_failed_run(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--set", "components.attack.toy.eps=0.5", "--step-timeout", "0.000001")
    explanation = json.loads(retbench("why", CELL, "toy.yaml", "--json", "--set", "components.attack.toy.eps=0.5").out)
    assert {change["field"] for change in explanation["changes"]} == {"attack.options.eps"}


def test_a_cell_is_compared_with_the_last_result_of_the_same_options(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--set", "components.attack.toy.eps=0.5")
    assert json.loads(retbench("why", CELL, "toy.yaml", "--json").out)["changes"] == []
    other = json.loads(retbench("why", CELL, "toy.yaml", "--json", "--set", "components.attack.toy.eps=0.25").out)
    assert {(change["before"], change["after"]) for change in other["changes"]} == {(0.5, 0.25)}


def test_an_unreadable_record_is_named(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    [record] = (toys / ".retbench" / "runs").glob("*.json")
    record.write_bytes(b"")
    result = retbench("why", CELL, "toy.yaml")
    assert result.code == 0
    assert result.out.startswith(f"{CELL}: stored\nnote: ")
    assert f"{record.name}: not a readable record of a run: the file is empty; what changed" in result.out
