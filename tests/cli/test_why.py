"""`retbench why`: which field of which recipe changed."""

from __future__ import annotations

import json

from .conftest import Retbench

CELL = "toy/toy/16/i2i/toy/none/none/oblivious/0"


def test_a_stored_cell_shows_its_steps(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("why", CELL)
    assert ended.out.startswith(f"{CELL}: stored\n")
    assert "stored" in ended.out.splitlines()[1]


def test_a_changed_option_is_named_at_its_root(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    told = json.loads(retbench("why", CELL, "--json", "--set", "components.attack.toy.eps=0.5").out)
    assert told["status"] == "to run"
    assert {change["field"] for change in told["changes"]} == {"attack.options.eps"}
    assert {(change["before"], change["after"]) for change in told["changes"]} == {(60 / 255, 0.5)}


def test_a_change_upstream_is_named_where_it_happened(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    told = json.loads(retbench("why", CELL, "--json", "--set", "components.hasher.toy.gain=2").out)
    assert [(change["stage"], change["field"]) for change in told["changes"]] == [("fit", "component.options.gain")]


def test_pieces_that_fit_several_cells_list_them(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("why", "toy/none")
    assert ended.code == 2
    assert "fits 4 cells" in ended.err
    assert CELL in ended.err


def test_a_cell_that_is_not_there_names_the_nearest(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    ended = retbench("why", CELL.replace("i2i", "i2j"))
    assert ended.code == 2
    assert "nearest" in ended.err


def test_a_failed_cell_says_why(retbench: Retbench) -> None:
    retbench("run", "toy.yaml", "--set", "matrix.attack=faulty")
    ended = retbench("why", "toy/toy/16/i2i/faulty/none/none/oblivious/0")
    assert "failed: invalid: attack faulty" in ended.out


def test_an_interrupted_change_still_knows_the_last_result(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--set", "components.attack.toy.eps=0.5", "--step-timeout", "0.000001")
    told = json.loads(retbench("why", CELL, "toy.yaml", "--json", "--set", "components.attack.toy.eps=0.5").out)
    assert {change["field"] for change in told["changes"]} == {"attack.options.eps"}
