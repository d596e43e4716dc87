"""`retbench plan`, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

from .conftest import RunCommand


def test_the_json_counts_cells_and_steps_before_and_after_a_run(retbench: RunCommand) -> None:
    before = json.loads(retbench("plan", "toy.yaml", "--json").out)
    assert [cell["status"] for cell in before["cells"]] == ["planned"] * 4
    assert before["cells"][0]["dataset"] == "toy"
    assert before["steps"]["attack"] == {"to_run": 3, "stored": 0}
    assert before["forecast"]["unknown_steps"] == 21
    retbench("run", "toy.yaml")
    after = json.loads(retbench("plan", "toy.yaml", "--json").out)
    assert {cell["status"] for cell in after["cells"]} == {"stored"}
    assert after["steps"]["attack"] == {"to_run": 0, "stored": 3}


def test_planning_writes_nothing(retbench: RunCommand, toys: object) -> None:
    from pathlib import Path

    retbench("plan", "toy.yaml")
    assert not Path(".retbench").exists()


def test_a_forecast_uses_the_times_of_earlier_steps(retbench: RunCommand, change: Callable[[str, str], None]) -> None:
    retbench("run", "toy.yaml")
    forecast = json.loads(retbench("plan", "toy.yaml", "--json", "--set", "matrix.seed=1").out)["forecast"]
    assert forecast["unknown_steps"] == 0
    assert forecast["seconds"] >= 0
    assert forecast["disk_bytes"] > 0
    assert forecast["peak_memory_bytes"] > 0
    text = retbench("plan", "toy.yaml", "--set", "matrix.seed=1").out
    assert "forecast: " in text
    assert "MB of disk" in text


def test_skipped_cells_are_listed_with_their_reason_and_overrides_with_their_cells(
    retbench: RunCommand, change: Callable[[str, str], None]
) -> None:
    change("bits: 16", "bits: 16\n  task: [i2i, t2i]")
    change("shard: 4", "overrides:\n  - when: {task: i2i}\n    components: {attack: {toy: {eps: 0.1}}}\nshard: 4")
    result = retbench("plan", "toy.yaml")
    assert "skipped 2 cells, for example toy/toy/16/t2i/none/none/toy/oblivious/0" in result.out
    assert "override in cells with task=i2i: attack toy: eps=0.1" in result.out
    cells = json.loads(retbench("plan", "toy.yaml", "--json").out)["cells"]
    assert [cell["status"] for cell in cells].count("skipped") == 3
    assert all(cell["reason"] for cell in cells if cell["status"] == "skipped")
