"""What a reader may want to know of a single number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retbench.metrics import Interval
from retbench.report.tables.detail import budget_of, details_of, protocol_of
from retbench.results import Row

Rows = Callable[..., Row]


def test_a_clean_cell_tells_itself_its_protocol_and_its_key(scored: Rows) -> None:
    row = scored("none", "none", [0.5])
    assert details_of(row) == (
        ("cell", "digits/dpsh/32/i2i/none/none/none/oblivious/0"),
        (
            "protocol",
            "10 queries, MAP full, ties stable, relevance share-a-class, targets zero-overlap (seed 0), float images",
        ),
        ("key", row.key[:16]),
    )


def test_an_attacked_cell_tells_its_threat_its_seconds_and_its_memory(scored: Rows) -> None:
    cost: dict[str, Any] = {
        "attack_seconds_per_query": 0.01234,
        "attack_peak_memory": 3 * 2**20,
        "defense_seconds_per_query": 12.0,
        "defense_peak_memory": 2**30,
    }
    row = replace(scored("p2p", "retpur", [0.5], "t_p=5", goal="targeted"), cost=cost)
    told = dict(details_of(row))
    assert told["cell"] == "digits/dpsh/32/i2i/p2p/none/retpur/oblivious/0/t_p=5"
    assert told["threat"] == "targeted, oblivious, linf 8/255"
    assert told["attack"] == "0.0123 s an image, 3 MiB"
    assert told["defense"] == "12 s an image, 1024 MiB"


def test_a_pooled_cell_tells_the_key_of_every_seed(scored: Rows) -> None:
    row = replace(scored("none", "none", [0.5]), members=("a" * 64, "b" * 64))
    assert dict(details_of(row))["keys of 2 seeds"] == f"{'a' * 16} {'b' * 16}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"map": "top-k", "depth": 50}, "MAP top-k at 50, "),
        ({"ties": "expected"}, "ties expected, "),
        ({"quantize": True}, "8-bit images"),
        ({"ranked_queries": 7}, "7 queries, "),
        (
            {"targets": {"rule": "uniform", "above": 9, "seed": 3, "file": None}},
            "uniform, carried by more than 9 items (seed 3)",
        ),
        (
            {"targets": {"rule": "from-file", "above": 0, "seed": 0, "file": "sha256:0123456789abcdef"}},
            "(sha256:01234567)",
        ),
    ],
)
def test_a_protocol_is_told_in_a_line(row: Rows, changes: dict[str, Any], told: str) -> None:
    given = row("none", "none", 0.5)
    assert told in protocol_of(replace(given, protocol={**given.protocol, **changes}))


def test_a_row_that_was_not_ranked_tells_the_queries_that_were_asked_for(row: Rows) -> None:
    given = row("none", "none", 0.5)
    protocol = {name: told for name, told in given.protocol.items() if name != "ranked_queries"}
    assert protocol_of(replace(given, protocol=protocol)).startswith("all queries, ")


def test_an_attack_without_a_ball_tells_how_far_its_images_went(row: Rows) -> None:
    budget: dict[str, Any] = {"goal": "targeted", "norm": None, "eps": None}
    metrics = {"perceptibility": Interval(0.1, 0.05, 0.2)}
    given = replace(row("prosgan", "none", 0.5), budget=budget, metrics=metrics)
    assert budget_of(given) == "unbounded, measured root mean square 25.5/255"
