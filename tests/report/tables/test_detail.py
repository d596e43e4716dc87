"""Details of a single number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retbench.metrics import Interval
from retbench.report.tables.detail import budget_of, details_of, protocol_of
from retbench.results import Row

Rows = Callable[..., Row]


def test_the_details_of_a_clean_cell_are_cell_protocol_and_key(scored: Rows) -> None:
    row = scored("none", "none", [0.5])
    assert details_of(row) == (
        ("cell", "digits/dpsh/32/i2i/none/none/none/oblivious/0"),
        (
            "protocol",
            "10 queries, MAP rule full, tie-breaking stable, relevance share-a-class, "
            "target rule zero-overlap (seed 0), float images",
        ),
        ("key", row.key[:16]),
    )


def test_the_details_of_an_attacked_cell_include_threat_seconds_and_memory(scored: Rows) -> None:
    cost: dict[str, Any] = {
        "attack_seconds_per_query": 0.01234,
        "attack_peak_memory": 3 * 2**20,
        "defense_seconds_per_query": 12.0,
        "defense_peak_memory": 2**30,
    }
    row = replace(scored("p2p", "retpur", [0.5], "t_p=5", goal="targeted"), cost=cost)
    details = dict(details_of(row))
    assert details["cell"] == "digits/dpsh/32/i2i/p2p/none/retpur/oblivious/0/t_p=5"
    assert details["threat"] == "targeted, oblivious, linf 8/255"
    assert details["attack"] == "0.0123 s per image, peak memory 3 MiB"
    assert details["defense"] == "12 s per image, peak memory 1024 MiB"


def test_the_details_of_a_pooled_cell_include_the_key_of_every_seed(scored: Rows) -> None:
    row = replace(scored("none", "none", [0.5]), members=("a" * 64, "b" * 64))
    assert dict(details_of(row))["keys of 2 seeds"] == f"{'a' * 16} {'b' * 16}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"map": "top-k", "depth": 50}, "MAP rule top-k at 50, "),
        ({"ties": "expected"}, "tie-breaking expected, "),
        ({"quantize": True}, "8-bit images"),
        ({"ranked_queries": 7}, "7 queries, "),
        (
            {"targets": {"rule": "uniform", "above": 9, "seed": 3, "file": None}},
            "uniform, label vectors of more than 9 items (seed 3)",
        ),
        (
            {"targets": {"rule": "from-file", "above": 0, "seed": 0, "file": "sha256:0123456789abcdef"}},
            "(sha256:01234567)",
        ),
    ],
)
def test_a_protocol_is_formatted_on_one_line(row: Rows, changes: dict[str, Any], expected: str) -> None:
    unchanged = row("none", "none", 0.5)
    assert expected in protocol_of(replace(unchanged, protocol={**unchanged.protocol, **changes}))


def test_the_protocol_of_an_unranked_row_has_the_requested_queries(row: Rows) -> None:
    unchanged = row("none", "none", 0.5)
    protocol = {name: value for name, value in unchanged.protocol.items() if name != "ranked_queries"}
    assert protocol_of(replace(unchanged, protocol=protocol)).startswith("all queries, ")


def test_the_budget_of_an_unbounded_attack_is_its_measured_change(row: Rows) -> None:
    budget: dict[str, Any] = {"goal": "targeted", "norm": None, "eps": None}
    metrics = {"perceptibility": Interval(0.1, 0.05, 0.2)}
    unchanged = replace(row("prosgan", "none", 0.5), budget=budget, metrics=metrics)
    assert budget_of(unchanged) == "unbounded, measured root mean square change 25.5/255"
