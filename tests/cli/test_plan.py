"""`retbench plan`, for people and machines."""

from __future__ import annotations

import json
from collections.abc import Callable

from .conftest import Retbench


def test_the_json_counts_cells_and_steps_before_and_after_a_run(retbench: Retbench) -> None:
    before = json.loads(retbench("plan", "toy.yaml", "--json").out)
    assert [cell["status"] for cell in before["cells"]] == ["planned"] * 4
    assert before["cells"][0]["dataset"] == "toy"
    assert before["steps"]["attack"] == {"to_run": 3, "stored": 0}
    assert before["forecast"]["unknown_steps"] == 21
    retbench("run", "toy.yaml")
    after = json.loads(retbench("plan", "toy.yaml", "--json").out)
    assert {cell["status"] for cell in after["cells"]} == {"stored"}
    assert after["steps"]["attack"] == {"to_run": 0, "stored": 3}


def test_planning_leaves_no_trace(retbench: Retbench, toys: object) -> None:
    from pathlib import Path

    retbench("plan", "toy.yaml")
    assert not Path(".retbench").exists()


def test_the_forecast_is_known_once_a_kind_of_step_has_been_timed(
    retbench: Retbench, change: Callable[[str, str], None]
) -> None:
    retbench("run", "toy.yaml")
    told = json.loads(retbench("plan", "toy.yaml", "--json", "--set", "matrix.seed=1").out)["forecast"]
    assert told["unknown_steps"] == 0
    assert told["seconds"] >= 0
    assert told["disk_bytes"] > 0
    assert told["peak_memory_bytes"] > 0
    people = retbench("plan", "toy.yaml", "--set", "matrix.seed=1").out
    assert "forecast: " in people
    assert "MB of disk" in people


def test_skipped_cells_show_their_reason_and_overrides_their_reach(
    retbench: Retbench, change: Callable[[str, str], None]
) -> None:
    change("bits: 16", "bits: 16\n  task: [i2i, t2i]")
    change("shard: 4", "overrides:\n  - when: {task: i2i}\n    components: {attack: {toy: {eps: 0.1}}}\nshard: 4")
    ended = retbench("plan", "toy.yaml")
    assert "skipped 2 cells, such as toy/toy/16/t2i/none/none/toy/oblivious/0" in ended.out
    assert "override when task=i2i: attack toy: eps=0.1" in ended.out
    cells = json.loads(retbench("plan", "toy.yaml", "--json").out)["cells"]
    assert [cell["status"] for cell in cells].count("skipped") == 3
    assert all(cell["reason"] for cell in cells if cell["status"] == "skipped")
