"""What must be believed is told, all of it and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from retbench.bundle import open_bundle
from retbench.bundle.carried import ALWAYS, carried_by_row
from retbench.canon import canonical
from tests.bundle.conftest import Make, Members, edit, verified


@pytest.fixture
def path(make: Make) -> Path:
    return make("toys.zip", {"attack": ["none", "toy"]})


def test_what_nothing_can_confirm_is_told_as_carried(path: Path) -> None:
    found = verified(path)
    assert {each.field for each in found.carried if each.kind == "query"} == {"perceptibility", "ssim", "visibility"}
    assert {each.field for each in found.carried if each.kind == "row"} == {
        "cost",
        "budget.norm",
        "data.train",
        "data.image_size",
        "options.dataset",
        "protocol.quantise of clean queries",
        "threat without a purifier",
    }
    told = {each.field for each in found.carried if each.kind == "bundle"}
    assert told >= {*ALWAYS, "the texts of layouts"}
    assert not told & {"the texts of claims", "the gallery", "why rows have no numbers"}
    assert "step" in {each.kind for each in found.carried}


@pytest.mark.parametrize(
    ("member", "told"),
    [("gallery.json", "the gallery"), ("claims.json", "the texts of claims"), ("suite.json", "whose paths were cut")],
)
def test_what_belongs_to_no_row_is_told_as_carried(path: Path, member: str, told: str) -> None:
    def change(members: Members) -> None:
        if member == "suite.json":
            value = json.loads(members[member])
            value["suite"]["protocol"] = {"targets": {"file": "…/targets.txt"}}
            members[member] = canonical(value).encode()
        else:
            members[member] = b'{"x": "y"}'

    found = verified(edit(path, change))
    assert found.ok
    assert any(told in each.field for each in found.carried)


def test_a_row_tells_of_threat_and_rounding_only_where_no_step_does(path: Path) -> None:
    clean, attacked = open_bundle(path).done
    assert "threat without a purifier" in set(carried_by_row(attacked, ["attack"]))
    assert "threat without a purifier" not in set(carried_by_row(attacked, ["attack", "purify"]))
    assert "protocol.quantise of clean queries" in set(carried_by_row(clean, ["encode"]))
    assert "protocol.quantise of clean queries" not in set(carried_by_row(attacked, ["attack"]))


def test_variants_and_caveats_are_told_where_there_are_any(path: Path) -> None:
    row = open_bundle(path).done[1]
    assert not {"variant", "caveats"} & {*carried_by_row(row, [])}
    assert {"variant", "caveats"} <= {*carried_by_row(replace(row, variant="eps=0.1", caveats=("mind",)), [])}


def test_a_budget_that_no_option_tells_is_told(path: Path) -> None:
    row = open_bundle(path).done[1]
    assert "budget.eps" not in set(carried_by_row(row, []))
    assert "budget.eps" in set(carried_by_row(replace(row, options={"attack": {}}), []))
