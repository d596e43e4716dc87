"""Reasons not to trust the numbers of a row: collapsed codes, attacks without an effect, trainings that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from retbench.results.row import Row

INEFFECTIVE = 0.5
"""The share of the queries from which on an attack that leaves them as they are, or has no gradient, is reported."""
HASHER_AXES = ("dataset", "hasher", "bits", "task", "defense", "seed")
"""The axes on which a clean row and the attacked rows of the same system agree."""


def find_warnings(row: Row, summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings that follow from the score of a row alone.

    Codes have collapsed if there are fewer distinct ones than label vectors: items with other labels have equal codes
    then. Label vectors that few items have count in part (see `describe_codes`), because no hasher can learn them.

    Args:
        row: the row, with its data.
        summary: the summary of its score.
    """
    distinct, variety = summary["distinct_codes"], summary["label_variety"]
    if distinct < variety:
        yield (
            f"the codes of {_system(row)} collapsed: {distinct} distinct codes for the labels of {row.dataset}, which "
            f"are worth {variety:.0f} different label vectors"
        )
    queries = cast(int, row.protocol["ranked_queries"])
    for count, effect in (
        (summary.get("unchanged", 0), "left the image as it was"),
        (summary.get("gradientless", 0), "had only gradients of 0"),
    ):
        if queries and count >= INEFFECTIVE * queries:
            yield f"attack {row.attack} {effect} for {count} of {queries} queries, so its numbers show no robustness"


def warn_of_chance(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, with a warning where the clean queries of the same system are ranked no better than by chance.

    That is the case if the confidence interval of the clean MAP reaches down to the MAP of a random ranking.
    """
    useless = {}
    for row in rows:
        if row.attack != "none" or row.status != "done":
            continue
        clean, chance = row.metrics["map"], cast(Mapping[str, Any], row.protocol["chance"])["map"]
        if chance is not None and (clean.low <= chance or clean.value <= chance):
            useless[_hasher(row)] = (
                f"{_system(row)} ranks clean queries of {row.dataset} no better than by chance: MAP {clean.value:.1%}, "
                f"a random ranking {chance:.1%}"
            )
    return [_add_warning(row, useless.get(_hasher(row))) for row in rows]


def _add_warning(row: Row, warning: str | None) -> Row:
    """Return a row with a warning, if there is one and the row has numbers."""
    return replace(row, warnings=(*row.warnings, warning)) if warning and row.status == "done" else row


def _hasher(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, axis) for axis in HASHER_AXES)


def _system(row: Row) -> str:
    """Return hasher and defense in words."""
    return row.hasher if row.defense == "none" else f"{row.hasher} with {row.defense}"
