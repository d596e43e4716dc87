"""The fields of a row compared with the inputs of its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bundle.conftest import MakeBundle, edit_json, find_disagreements, verify

CELL = "toy/toy/8/i2i/toy/none/none/oblivious/0"


@pytest.fixture
def path(make_bundle: MakeBundle) -> Path:
    return make_bundle("toys.zip", {"attack": ["none", "toy"]})


@pytest.mark.parametrize("metric", ["map", "t_map", "perceptibility", "ssim"])
@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_an_edited_number_of_a_row_is_found(path: Path, metric: str, part: str) -> None:
    def change(rows: Any) -> None:
        rows[1]["metrics"][metric][part] += 1e-6

    (finding,) = verify(edit_json(path, "rows.json", change)).disagreed
    assert finding[:3] == ("row", CELL, f"metrics.{metric}.{part}")
    assert float(finding.got) - float(finding.expected) == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value", "disagreement"),
    [
        ("bits", 7, ("recipe", "protocol.bits")),
        ("task", "i2t", ("recipe", "protocol.task")),
        ("dataset", "other", ("row", "dataset")),
        ("hasher", "other", ("recipe", "hasher")),
        ("attack", "none", ("recipe", "attacked")),
        ("steps", [], ("recipe", "steps")),
    ],
)
def test_an_edited_field_of_a_row_is_found(path: Path, field: str, value: Any, disagreement: tuple[str, str]) -> None:
    def change(rows: Any) -> None:
        rows[1][field] = value
        if field == "attack":
            rows[1]["budget"], rows[1]["seed"] = {}, 1

    assert disagreement in find_disagreements(edit_json(path, "rows.json", change))


@pytest.mark.parametrize(
    ("field", "value", "disagreement"),
    [
        ("ties", "best", ("recipe", "protocol.ties")),
        ("confidence", 0.5, ("recipe", "protocol.confidence")),
        ("queries", 5, ("recipe", "queries")),
        ("scored_queries", 9, ("row", "protocol.scored_queries")),
        ("ranked_queries", 9, ("row", "protocol.ranked_queries")),
        ("target_labels", 99, ("row", "protocol.target_labels")),
        ("chance", {"map": 0.1, "t_map": 0.1}, ("row", "protocol.chance.map")),
        ("targets", {"rule": "uniform", "above": 0, "seed": 0, "file": None}, ("recipe", "protocol.targets.rule")),
    ],
)
def test_an_edited_protocol_is_found(path: Path, field: str, value: Any, disagreement: tuple[str, str]) -> None:
    def change(rows: Any) -> None:
        rows[1]["protocol"][field] = value

    assert disagreement in find_disagreements(edit_json(path, "rows.json", change))


@pytest.mark.parametrize("name", ["query", "database", "classes", "distinct_codes"])
def test_an_edited_size_is_found(path: Path, name: str) -> None:
    def change(rows: Any) -> None:
        rows[0]["data"][name] += 1

    assert ("row", f"data.{name}") in find_disagreements(edit_json(path, "rows.json", change))


def test_an_edited_tie_range_is_found(path: Path) -> None:
    def change(rows: Any) -> None:
        rows[0]["tie_ranges"]["map"]["worst"] = 0.0

    assert find_disagreements(edit_json(path, "rows.json", change)) == {("row", "tie_ranges.map.worst")}
