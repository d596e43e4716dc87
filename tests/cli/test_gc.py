"""`retbench gc`: what goes, what stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retbench import evaluate
from retbench.store import Store

from .conftest import Retbench


def test_what_the_last_run_of_a_suite_names_stays(retbench: Retbench, toys: Path) -> None:
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


def test_gc_waits_for_a_run(retbench: Retbench, toys: Path) -> None:
    with Store(toys / ".retbench").in_use():
        ended = retbench("gc")
    assert ended.code == 2
    assert "a run is using it" in ended.err


def test_a_narrowed_run_does_not_disown_the_rest(retbench: Retbench) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--only", "attack=none")
    assert json.loads(retbench("gc", "--dry-run", "--json").out)["artifacts"] == 0


def test_checkpoints_that_nobody_names_go(retbench: Retbench, toys: Path) -> None:
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


def test_a_dry_run_lists_what_was_made_in_python(retbench: Retbench, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    lines = retbench("gc", "--dry-run").out.splitlines()
    assert lines[0].startswith("would remove 0 artifacts, 0.0 MB; kept ")
    assert lines[1] == "remembered runs that were made in Python (--forget NAME removes one):"
    assert lines[2].startswith("  mine, 0 days old, ")
    assert lines[2].endswith(" MB that no other run names")
    assert len(lines) == 3
    assert retbench("gc").out.count("\n") == 1
    (run,) = json.loads(retbench("gc", "--dry-run", "--json").out)["made_in_python"]
    assert run["name"] == "mine"
    assert run["days"] == 0
    assert run["bytes"] > 0


def test_a_forgotten_run_leaves_nothing_that_others_do_not_name(retbench: Retbench, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    named = set(evaluated.runs()["toy"]["keys"])  # type: ignore[arg-type]  # a JSON list
    alone = evaluated.keys() - named
    dry = retbench("gc", "--forget", "mine", "--dry-run")
    assert dry.out.startswith(f"would forget mine\nwould remove {len(alone)} artifacts, ")
    assert "mine" in evaluated.runs()
    ended = retbench("gc", "--forget", "m*")
    assert ended.out.startswith(f"forgot mine\nremoved {len(alone)} artifacts, ")
    assert [*evaluated.runs()] == ["toy"]
    assert evaluated.keys() == named
    assert "0 steps run" in retbench("run", "toy.yaml").err


def test_a_run_that_is_not_remembered_cannot_be_forgotten(retbench: Retbench, evaluated: Store) -> None:
    before = evaluated.keys()
    ended = retbench("gc", "--forget", "mnie")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--forget: unknown name: got 'mnie', expected one of mine; nearest: mine" in ended.err
    assert evaluated.keys() == before


def test_a_suite_can_be_forgotten_too(retbench: Retbench, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    assert json.loads(retbench("gc", "--forget", "toy", "--forget", "mine", "--json").out)["forgotten"] == [
        "mine",
        "toy",
    ]
    assert evaluated.keys() == set()


def test_help_says_how_evaluations_are_forgotten(retbench: Retbench) -> None:
    told = " ".join(retbench("gc", "--help").out.split())
    assert "--forget NAME" in told
    assert "retbench.evaluate" in told


def test_a_store_that_is_not_there_has_nothing_to_remove(retbench: Retbench) -> None:
    assert retbench("gc", "--dry-run", "--store", "new").out == (
        "would remove 0 artifacts, 0.0 MB; kept 0 that remembered runs name\n"
    )


def test_a_dry_run_makes_no_store(retbench: Retbench, tmp_path: Path) -> None:
    ended = retbench("gc", "--dry-run", "--store", str(tmp_path / "absent"))
    assert ended.out.startswith("would remove 0 artifacts, 0.0 MB; kept 0 that remembered runs name")
    assert not (tmp_path / "absent").exists()
