"""Details of a single number: where it comes from, and what it took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from retbench.results import ROW_AXES, Row

DIGITS = 16
"""Of a key that are shown; `retbench why` takes the cell, not the key."""


def details_of(row: Row) -> tuple[tuple[str, str], ...]:
    """Return label and text of a row's cell, protocol, seeds, keys, seconds and memory."""
    return tuple(_details(row))


def _details(row: Row) -> Iterator[tuple[str, str]]:
    yield "cell", "/".join(str(getattr(row, axis)) for axis in ROW_AXES if axis != "variant" or row.variant)
    yield "protocol", protocol_of(row)
    if row.budget:
        yield "threat", f"{row.budget['goal']}, {row.threat}, {budget_of(row)}"
    label = "key" if len(row.keys) == 1 else f"keys of {len(row.keys)} seeds"
    yield label, " ".join(key[:DIGITS] for key in row.keys)
    for name in ("attack", "defense"):
        if f"{name}_seconds_per_query" in row.cost:
            seconds = cast(float, row.cost[f"{name}_seconds_per_query"])
            memory = cast(float, row.cost[f"{name}_peak_memory"]) / 2**20
            yield name, f"{seconds:.3g} s an image, {memory:.0f} MiB"


def protocol_of(row: Row) -> str:
    """Return a row's protocol in a line: queries, MAP, ties, targets."""
    protocol = cast(dict[str, Any], row.protocol)
    depth = f" at {protocol['depth']}" if protocol["depth"] else ""
    targets = protocol["targets"]
    above = f", carried by more than {targets['above']} items" if targets["above"] else ""
    drawn = str(targets["file"])[:15] if targets["file"] else f"seed {targets['seed']}"
    queries = protocol.get("ranked_queries", protocol["queries"])
    return (
        f"{queries} queries, MAP {protocol['map']}{depth}, ties {protocol['ties']}, relevance {protocol['relevance']}, "
        f"targets {targets['rule']}{above} ({drawn}), {'8-bit' if protocol['quantize'] else 'float'} images"
    )


def budget_of(row: Row) -> str:
    """Return the declared ball of a row's attack, or, where it has none, how far its images went."""
    if row.budget["eps"] is not None:
        return f"{row.budget['norm']} {format_eps(cast(float, row.budget['eps']))}"
    return f"unbounded, measured root mean square {row.metrics['perceptibility'].value * 255:.1f}/255"


def format_eps(eps: float) -> str:
    """Return a budget of 0..1 in gray levels, such as `8/255`."""
    return f"{255 * eps:.3g}/255"
