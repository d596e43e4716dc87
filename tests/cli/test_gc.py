"""`retbench gc`: the artifacts that are removed and kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retbench import evaluate
from retbench.store import Store

from .conftest import RunCommand


def test_artifacts_of_the_last_run_of_a_suite_are_kept(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--set", "components.attack.toy.eps=0.5")
    before = Store(toys / ".retbench").keys()
    dry = retbench("gc", "--dry-run")
    assert dry.out.startswith("would remove 10 artifacts")
    assert Store(toys / ".retbench").keys() == before
    assert retbench("gc").out.startswith("removed 10 artifacts")
    assert len(Store(toys / ".retbench").keys()) == len(before) - 10
    again = retbench("run", "toy.yaml", "--set", "components.attack.toy.eps=0.5")
    assert "0 steps run" in again.err


def test_gc_is_refused_during_a_run(retbench: RunCommand, toys: Path) -> None:
    with Store(toys / ".retbench").in_use():
        result = retbench("gc")
    assert result.code == 2
    assert "a run is using it" in result.err


def test_artifacts_outside_a_narrowed_run_are_kept(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--only", "attack=none")
    assert json.loads(retbench("gc", "--dry-run", "--json").out)["artifacts"] == 0


def test_checkpoints_that_no_run_uses_are_removed(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    folder = toys / ".retbench" / "work" / "abandoned"
    folder.mkdir(parents=True)
    retbench("gc")
    assert not folder.exists()


@pytest.fixture
def evaluated(toys: Path) -> Store:
    """A store with an evaluation made in Python."""
    evaluate(dataset="toy", hasher="toy", bits=8, attack="toy", name="mine", progress=False)
    return Store(toys / ".retbench")


def test_a_dry_run_lists_the_runs_made_in_python(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    lines = retbench("gc", "--dry-run").out.splitlines()
    assert lines[0].startswith("would remove 0 artifacts, 0.0 MB; kept ")
    assert lines[1] == "recorded runs made in Python (--forget NAME forgets one):"
    assert lines[2].startswith("  mine: 0 days old, ")
    assert lines[2].endswith(" MB that no other run uses")
    assert len(lines) == 3
    assert retbench("gc").out.count("\n") == 1
    (run,) = json.loads(retbench("gc", "--dry-run", "--json").out)["made_in_python"]
    assert run["name"] == "mine"
    assert run["days"] == 0
    assert run["bytes"] > 0


def test_forgetting_a_run_removes_the_artifacts_that_no_other_run_uses(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    used = set(evaluated.runs()["toy"]["keys"])  # type: ignore[arg-type]  # a JSON list
    unshared = evaluated.keys() - used
    dry = retbench("gc", "--forget", "mine", "--dry-run")
    assert dry.out.startswith(f"would forget mine\nwould remove {len(unshared)} artifacts, ")
    assert "mine" in evaluated.runs()
    result = retbench("gc", "--forget", "m*")
    assert result.out.startswith(f"forgot mine\nremoved {len(unshared)} artifacts, ")
    assert [*evaluated.runs()] == ["toy"]
    assert evaluated.keys() == used
    assert "0 steps run" in retbench("run", "toy.yaml").err


def test_an_unknown_run_cannot_be_forgotten(retbench: RunCommand, evaluated: Store) -> None:
    before = evaluated.keys()
    result = retbench("gc", "--forget", "mnie")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--forget: unknown name: got 'mnie', expected one of mine; nearest: mine" in result.err
    assert evaluated.keys() == before


def test_the_run_of_a_suite_can_be_forgotten(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    assert json.loads(retbench("gc", "--forget", "toy", "--forget", "mine", "--json").out)["forgotten"] == [
        "mine",
        "toy",
    ]
    assert evaluated.keys() == set()


def test_help_explains_how_to_forget_evaluations(retbench: RunCommand) -> None:
    text = " ".join(retbench("gc", "--help").out.split())
    assert "--forget NAME" in text
    assert "retbench.evaluate" in text


def test_a_missing_store_has_nothing_to_remove(retbench: RunCommand) -> None:
    assert retbench("gc", "--dry-run", "--store", "new").out == (
        "would remove 0 artifacts, 0.0 MB; kept 0 that recorded runs use\n"
    )


def test_a_dry_run_creates_no_store(retbench: RunCommand, tmp_path: Path) -> None:
    result = retbench("gc", "--dry-run", "--store", str(tmp_path / "absent"))
    assert result.out.startswith("would remove 0 artifacts, 0.0 MB; kept 0 that recorded runs use")
    assert not (tmp_path / "absent").exists()
