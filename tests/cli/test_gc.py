"""`retbench gc`: what goes, what stays."""

from __future__ import annotations

import json
from pathlib import Path

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
    with Store(toys / ".retbench").running():
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
