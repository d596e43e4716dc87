"""Which cell is meant, what it is made of, and what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.errors import UnknownName, UserError
from retbench.study.explanation import explain, find_cell
from retbench.study.opening import open as open_suite

CELL = "toy/toy/16/i2i/toy/none/none/oblivious/0"


@pytest.mark.parametrize("text", [CELL, "16/toy/none/oblivious"])
def test_a_cell_is_found_by_its_name_or_by_pieces_that_no_other_has(toys: Path, text: str) -> None:
    study = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"})
    assert find_cell(study, text).cell.name == CELL


def test_a_variant_is_a_piece(toys: Path) -> None:
    study = open_suite(
        "toy.yaml", set={"matrix.attack": [{"toy": {"sweep": {"eps": [0.25, 0.5]}}}]}, only={"defense": "none"}
    )
    assert find_cell(study, "toy/[eps=0.5]").cell.variant == "eps=0.5"


def test_a_cell_that_is_not_one_is_refused(toys: Path) -> None:
    study = open_suite("toy.yaml")
    with pytest.raises(UserError, match=r"^why: cell: 'toy/none' fits 4 cells: got .*, expected one$"):
        find_cell(study, "toy/none")
    with pytest.raises(UnknownName, match=r"^why: cell: unknown name: got 'tooy', "):
        find_cell(study, "tooy")


def test_a_cell_is_to_run_then_stored_then_changed_at_its_root(toys: Path) -> None:
    study = open_suite("toy.yaml")
    before = explain(study, find_cell(study, CELL))
    assert (before["status"], before["reason"], before["changes"]) == ("to run", "", [])
    assert {step["stored"] for step in before["steps"]} == {False}
    study.run(progress=False)
    after = explain(study, find_cell(study, CELL))
    assert (after["status"], after["reason"], after["changes"]) == ("stored", "", [])
    assert {step["stored"] for step in after["steps"]} == {True}
    assert after["steps"][-1] == {**before["steps"][-1], "stored": True}
    changed = open_suite("toy.yaml", set={"components.hasher.toy.gain": 2})
    found = explain(changed, find_cell(changed, CELL))
    assert (found["status"], found["reason"]) == ("to run", "its recipe changed")
    assert [(change["stage"], change["field"]) for change in found["changes"]] == [("fit", "component.options.gain")]


def test_a_failed_cell_gives_the_reason_of_its_failure(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.attack": "faulty"}, only={"defense": "none"}).run(progress=False)
    found = explain(study, study.planned.cells[0])
    assert found["status"] == "failed"
    assert found["reason"].startswith("invalid: attack faulty")


def test_a_skipped_cell_has_a_reason_and_no_steps(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.task": "t2i"}, only={"attack": "toy", "defense": "none"})
    found = explain(study, study.planned.cells[0])
    assert (found["status"], found["steps"]) == ("skipped", [])
    assert found["reason"] == study.planned.cells[0].reason != ""
