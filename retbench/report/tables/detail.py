"""Details of a single number: its cell, protocol, threat, keys and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from retbench.results import ROW_AXES, Row
from retbench.stages.scoring import QUERIES_USED

KEY_DIGITS = 16
"""Digits of a key that are shown; `retbench why` takes the cell, not the key."""
UNBOUNDED = "unbounded, measured root mean square change"


def details_of(row: Row) -> tuple[tuple[str, str], ...]:
    """Return label and text of a row's cell, protocol, threat, keys, seconds and memory."""
    return tuple(_details(row))


def _details(row: Row) -> Iterator[tuple[str, str]]:
    yield "cell", "/".join(str(getattr(row, axis)) for axis in ROW_AXES if axis != "variant" or row.variant)
    yield "protocol", protocol_of(row)
    if row.budget:
        yield "threat", ", ".join(filter(None, (str(row.budget["goal"]), row.threat, budget_of(row), access_of([row]))))
    label = "key" if len(row.keys) == 1 else f"keys of {len(row.keys)} seeds"
    yield label, " ".join(key[:KEY_DIGITS] for key in row.keys)
    for name in ("attack", "defense"):
        if f"{name}_seconds_per_query" in row.cost:
            seconds = cast(float, row.cost[f"{name}_seconds_per_query"])
            memory = cast(float, row.cost[f"{name}_peak_memory"]) / 2**20
            yield name, f"{seconds:.3g} s per image, peak memory {memory:.0f} MiB"


def protocol_of(row: Row) -> str:
    """Return a row's protocol on one line: queries, MAP, ties, relevance, targets, image precision."""
    protocol = cast(dict[str, Any], row.protocol)
    depth = f" at {protocol['depth']}" if protocol["depth"] else ""
    targets = protocol["targets"]
    above = f", label vectors of more than {targets['above']} items" if targets["above"] else ""
    source = str(targets["file"])[:15] if targets["file"] else f"seed {targets['seed']}"
    queries = protocol.get("ranked_queries", protocol["queries"])
    return (
        f"{queries} queries, MAP rule {protocol['map']}{depth}, tie-breaking {protocol['ties']}, "
        f"relevance {protocol['relevance']}, "
        f"target rule {targets['rule']}{above} ({source}), {'8-bit' if protocol['quantize'] else 'float'} images"
    )


def budget_of(row: Row) -> str:
    """Return the budget of a row's attack or, if it has none, the measured size of its perturbations."""
    if row.budget["eps"] is not None:
        return f"{row.budget['norm']} {format_eps(cast(float, row.budget['eps']))}"
    return f"{UNBOUNDED} {row.metrics['perceptibility'].value * 255:.1f}/255"


def access_of(rows: Sequence[Row]) -> str:
    """Return access, budget and mean queries of the rows of a black-box attack in words; empty for other attacks.

    Of several rows, the means are a range.
    """
    accesses = dict.fromkeys(row.access for row in rows if QUERIES_USED in row.metrics)
    if not accesses:
        return ""
    budgets = dict.fromkeys(f"{row.query_budget}" for row in rows if row.query_budget is not None)
    means = [row.metrics[QUERIES_USED].value for row in rows if QUERIES_USED in row.metrics]
    used = " to ".join(dict.fromkeys(f"{mean:.1f}" for mean in (min(means), max(means))))
    return f"{' and '.join(accesses)} access, at most {' or '.join(budgets)} queries a query image, mean used {used}"


def format_eps(eps: float) -> str:
    """Return a budget in 0..1 as gray levels, for example `8/255`."""
    return f"{255 * eps:.3g}/255"
