"""Finding a cell, and explaining its status, steps and changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.errors import UnknownName, UserError
from retbench.study.explanation import explain, find_cell
from retbench.study.opening import open as open_suite

CELL = "toy/toy/16/i2i/toy/none/none/oblivious/0"


@pytest.mark.parametrize("text", [CELL, "16/toy/none/oblivious"])
def test_a_cell_is_found_by_its_name_or_by_parts_that_no_other_has(toys: Path, text: str) -> None:
    study = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"})
    assert find_cell(study, text).cell.name == CELL


def test_a_variant_is_a_part_of_the_name(toys: Path) -> None:
    study = open_suite(
        "toy.yaml", set={"matrix.attack": [{"toy": {"sweep": {"eps": [0.25, 0.5]}}}]}, only={"defense": "none"}
    )
    assert find_cell(study, "toy/[eps=0.5]").cell.variant == "eps=0.5"


def test_a_part_that_no_cell_has_is_named_with_the_nearest_values(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.attack": [{"toy": {"sweep": {"eps": [0.25, 0.5]}}}]})
    for text, part, nearest in (
        (CELL.replace("i2i", "i2j"), "i2j", "i2i"),
        ("toy/tooy", "tooy", "toy"),
        (f"{CELL}[eps=0.7]", "[eps=0.7]", "[eps=0.5], [eps=0.25]"),
    ):
        with pytest.raises(UnknownName) as caught:
            find_cell(study, text)
        listing = f"`{study.format_command('results')}`"
        expected = f"got '{part}', expected one of 8 names, see {listing}; nearest: {nearest}"
        assert str(caught.value) == f"why: cell: unknown name: {expected}"


def test_parts_that_no_cell_has_together_are_refused_with_the_cells_that_share_most(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.exclude": [{"attack": "none"}], "matrix.include": [{"bits": 32}]})
    with pytest.raises(UserError) as caught:
        find_cell(study, "32/16")
    assert str(caught.value).startswith("why: cell: no cell has all these values: got '32/16'; nearest: toy/toy/")
    assert str(caught.value).count("toy/toy/") == 3


def test_an_ambiguous_cell_is_refused_with_at_most_five_cells(toys: Path) -> None:
    with pytest.raises(
        UserError, match=r"^why: cell: 'toy/none' matches 4 cells: got .*, expected one; add the value of another axis$"
    ):
        find_cell(open_suite("toy.yaml"), "toy/none")
    with pytest.raises(UserError, match=r"'toy' matches 12 cells: got .* and 7 more, expected one; ") as caught:
        find_cell(open_suite("toy.yaml", set={"matrix.seed": [0, 1, 2]}), "toy")
    assert str(caught.value).count("oblivious") == 5


def test_the_status_of_a_cell_before_a_run_after_it_and_after_a_change(toys: Path) -> None:
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
    explanation = explain(changed, find_cell(changed, CELL))
    assert (explanation["status"], explanation["reason"]) == ("to run", "its recipe changed")
    assert [(change["stage"], change["field"]) for change in explanation["changes"]] == [
        ("fit", "component.options.gain")
    ]


def test_a_failed_cell_has_the_reason_of_its_failure(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.attack": "faulty"}, only={"defense": "none"})
    with pytest.warns(UserWarning, match="1 of 1 cells failed"):
        study.run(progress=False)
    explanation = explain(study, study.planned.cells[0])
    assert explanation["status"] == "failed"
    assert explanation["reason"].startswith("invalid: attack faulty")


def test_a_skipped_cell_has_a_reason_and_no_steps(toys: Path) -> None:
    study = open_suite("toy.yaml", set={"matrix.task": "t2i"}, only={"attack": "toy", "defense": "none"})
    explanation = explain(study, study.planned.cells[0])
    assert (explanation["status"], explanation["steps"]) == ("skipped", [])
    assert explanation["reason"] == study.planned.cells[0].reason != ""
