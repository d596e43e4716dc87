"""What a reader may want to know of a single number: where it comes from, and what it took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from retbench.report.tables.pattern import AXES
from retbench.results import Row

DIGITS = 16
"""Of a key that are shown; `retbench why` takes the cell, not the key."""


def details_of(row: Row) -> tuple[tuple[str, str], ...]:
    """Returns label and text of a row's cell, protocol, seeds, keys, seconds and memory."""
    return tuple(_told(row))


def _told(row: Row) -> Iterator[tuple[str, str]]:
    yield "cell", "/".join(str(getattr(row, axis)) for axis in AXES if axis != "variant" or row.variant)
    yield "protocol", protocol_of(row)
    if row.budget:
        yield "threat", f"{row.budget['goal']}, {row.budget['visibility']}, {budget_of(row)}"
    label = "key" if len(row.keys) == 1 else f"keys of {len(row.keys)} seeds"
    yield label, " ".join(key[:DIGITS] for key in row.keys)
    for name in ("attack", "defense"):
        if f"{name}_seconds_per_query" in row.cost:
            seconds = cast(float, row.cost[f"{name}_seconds_per_query"])
            memory = cast(float, row.cost[f"{name}_peak_memory"]) / 2**20
            yield name, f"{seconds:.3g} s an image, {memory:.0f} MiB"


def protocol_of(row: Row) -> str:
    """Returns a row's protocol in a line: queries, MAP, ties, targets."""
    told = cast(dict[str, Any], row.protocol)
    depth = f" at {told['depth']}" if told["depth"] else ""
    targets = told["targets"]
    above = f", carried by more than {targets['above']} items" if targets["above"] else ""
    drawn = str(targets["file"])[:15] if targets["file"] else f"seed {targets['seed']}"
    queries = told.get("ranked_queries", told["queries"])
    return (
        f"{queries} queries, MAP {told['map']}{depth}, ties {told['ties']}, relevance {told['relevance']}, targets "
        f"{targets['rule']}{above} ({drawn}), {'8-bit' if told['quantise'] else 'float'} images"
    )


def budget_of(row: Row) -> str:
    """Returns the declared ball of a row's attack, or, where it has none, how far its images went."""
    if row.budget["eps"] is not None:
        return f"{row.budget['norm']} {cast(float, row.budget['eps']) * 255:.3g}/255"
    return f"unbounded, measured root mean square {row.metrics['perceptibility'].value * 255:.1f}/255"
